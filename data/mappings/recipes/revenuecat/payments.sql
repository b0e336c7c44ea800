-- What was paid, before tax, and given back again.
WITH
latest AS (
    SELECT
        customer_id, subscription_id, currency, refunded_at, started_at,
        store || ' ' || transaction_id AS payment_id,
        CAST(price AS DECIMAL(18, 4)) * (1 - COALESCE(CAST(tax AS DECIMAL(9, 6)), 0)) AS net,
        CASE WHEN ended_at IS NULL THEN 'one_off' ELSE 'recurring' END AS kind
    FROM transactions
    WHERE LOWER(CAST(is_sandbox AS TEXT)) = 'false' AND CAST(price AS DECIMAL(18, 4)) > 0
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store, transaction_id ORDER BY CAST(updated_at AS TIMESTAMP) DESC) = 1
),
rounded AS (
    SELECT
        * EXCLUDE (net),
        CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP') THEN ROUND(net) ELSE ROUND(net, 2) END AS price
    FROM latest
)
SELECT * EXCLUDE (refunded_at, started_at), 'paid' AS status, CAST(started_at AS TIMESTAMP) AS attempted_at
FROM rounded
UNION ALL
SELECT
    * EXCLUDE (refunded_at, started_at) REPLACE (payment_id || ' refund' AS payment_id), 'refunded',
    CAST(refunded_at AS TIMESTAMP)
FROM rounded
WHERE refunded_at IS NOT NULL
