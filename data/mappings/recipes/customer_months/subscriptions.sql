WITH
-- Each row once, with months as numbers, and whether each seat's part is a whole number of minor units.
each AS (
    SELECT DISTINCT
        customer_id,
        COALESCE(plan, 'Subscription') AS plan,
        currency,
        COALESCE(CAST(mrr AS DECIMAL(18, 4)), 0) AS amount,
        GREATEST(COALESCE(CAST(seats AS BIGINT), 1), 1) AS quantity,
        YEAR(CAST(month AS DATE)) * 12 + MONTH(CAST(month AS DATE)) - 1 AS number,
        CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP', 'ISK') THEN 1 ELSE 100 END AS units,
        (amount * units) % quantity = 0 AS by_seat
    FROM months
)
SELECT
    customer_id || ' ' || plan AS subscription_id,
    customer_id,
    plan,
    currency,
    CASE WHEN by_seat THEN quantity ELSE 1 END AS quantity,
    CASE WHEN by_seat THEN CAST(amount / quantity AS DECIMAL(18, 4)) ELSE amount END AS price,
    MAKE_DATE(number // 12, number % 12 + 1, 1) AS started_at,
    CASE
        WHEN number < (SELECT MAX(number) FROM each) THEN MAKE_DATE((number + 1) // 12, (number + 1) % 12 + 1, 1)
    END AS ended_at,
    CASE
        WHEN (customer_id, number + 1) IN (SELECT (customer_id, number) FROM each) THEN 'switched'
    END AS end_reason
FROM each
