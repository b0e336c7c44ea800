WITH
-- Each purchase of access once, with the price before tax.
access AS (
    SELECT DISTINCT
        order_id,
        LOWER(customer) AS customer_id,
        product AS plan,
        currency,
        CAST(months AS BIGINT) AS months,
        CAST(bought_at AS TIMESTAMP) AS started_at,
        CAST(amount AS DECIMAL(18, 4)) - COALESCE(CAST(tax AS DECIMAL(18, 4)), 0) AS price
    FROM purchases
    WHERE type = 'purchase' AND CAST(months AS BIGINT) > 0
),
followed AS (
    SELECT
        *,
        started_at + TO_MONTHS(CAST(months AS INTEGER)) AS over,
        LEAD(started_at) OVER (PARTITION BY customer_id ORDER BY started_at, order_id) AS following
    FROM access
)
SELECT
    customer_id AS subscription_id,
    customer_id,
    plan,
    currency,
    price,
    started_at,
    CASE WHEN months % 12 = 0 THEN 'year' ELSE 'month' END AS billing_interval,
    CASE WHEN months % 12 = 0 THEN months // 12 ELSE months END AS billing_interval_count,
    CASE
        WHEN following IS NOT NULL THEN LEAST(over, following)
        WHEN over <= (SELECT MAX(started_at) FROM access) THEN over
    END AS ended_at,
    CASE WHEN following <= over + INTERVAL 1 DAY THEN 'switched' END AS end_reason
FROM followed
WHERE following IS NULL OR following > started_at
