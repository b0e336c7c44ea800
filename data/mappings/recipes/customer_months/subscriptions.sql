WITH
-- Each row once; months as numbers.
rows_once AS (
    SELECT DISTINCT
        customer_id, COALESCE(plan, 'Subscription') AS plan, currency,
        COALESCE(CAST(mrr AS DECIMAL(18, 4)), 0) AS mrr,
        COALESCE(CAST(seats AS BIGINT), 1) AS seats,
        YEAR(CAST(month AS DATE)) * 12 + MONTH(CAST(month AS DATE)) - 1 AS number
    FROM months
),
-- A row begins a span unless it says the same as the month before.
marked AS (
    SELECT *, COALESCE(number - LAG(number) OVER same, 0) <> 1 AS begins
    FROM rows_once
    WINDOW same AS (PARTITION BY customer_id, plan, currency, mrr, seats ORDER BY number)
),
numbered AS (
    SELECT *, COUNT(*) FILTER (begins) OVER (
        PARTITION BY customer_id, plan, currency, mrr, seats ORDER BY number
    ) AS span
    FROM marked
),
spans AS (
    SELECT customer_id, plan, currency, mrr, seats, MIN(number) AS first, MAX(number) AS last
    FROM numbered
    GROUP BY customer_id, plan, currency, mrr, seats, span
),
-- The price of a seat, where that is a whole number of the smallest unit.
priced AS (
    SELECT *, CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP', 'ISK') THEN 1 ELSE 100 END AS units,
        seats > 1 AND (mrr * units) % seats = 0 AS by_seat
    FROM spans
)
SELECT
    customer_id || ' ' || plan AS subscription_id,
    customer_id,
    plan,
    currency,
    CASE WHEN by_seat THEN seats ELSE 1 END AS quantity,
    CASE WHEN by_seat THEN CAST(mrr / seats AS DECIMAL(18, 4)) ELSE mrr END AS price,
    MAKE_DATE(first // 12, first % 12 + 1, 1) AS started_at,
    CASE WHEN last < (SELECT MAX(number) FROM rows_once) THEN MAKE_DATE((last + 1) // 12, (last + 1) % 12 + 1, 1) END AS ended_at,
    -- Other terms of the same plan may follow.
    CASE WHEN EXISTS (
        SELECT 1 FROM spans AS s WHERE s.customer_id = priced.customer_id AND s.first = priced.last + 1
    ) THEN 'switched' ELSE 'unknown' END AS end_reason
FROM priced
