WITH each AS (
    SELECT DISTINCT
        subscriber AS customer_id,
        subscriber || '-' || subscription_group AS subscription_id,
        CAST(day AS DATE) AS attempted_at,
        currency,
        CAST(units AS BIGINT) < 0 AS is_refund,
        ABS(CAST(proceeds AS DECIMAL(18, 4)))
            / CASE WHEN proceeds_reason = 'Rate After One Year' THEN 0.85 ELSE 0.70 END AS net
    FROM purchases
    WHERE CAST(proceeds AS DECIMAL(18, 4)) <> 0
)
SELECT
    * EXCLUDE (net, is_refund),
    subscription_id || '-' || attempted_at || '-' || net || '-' || is_refund AS payment_id,
    ROUND(net, CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP') THEN 0 ELSE 2 END) AS price,
    'recurring' AS kind,
    CASE WHEN is_refund THEN 'refunded' ELSE 'paid' END AS status
FROM each
