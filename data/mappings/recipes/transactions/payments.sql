SELECT DISTINCT
    order_id AS payment_id,
    LOWER(customer) AS customer_id,
    CASE WHEN CAST(months AS BIGINT) > 0 THEN LOWER(customer) END AS subscription_id,
    CAST(bought_at AS TIMESTAMP) AS attempted_at,
    ABS(CAST(amount AS DECIMAL(18, 4)) - COALESCE(CAST(tax AS DECIMAL(18, 4)), 0)) AS price,
    currency,
    CASE WHEN CAST(months AS BIGINT) > 0 THEN 'recurring' ELSE 'one_off' END AS kind,
    CASE WHEN type = 'refund' THEN 'refunded' ELSE 'paid' END AS status
FROM purchases
