WITH
-- A row a cell with revenue; each row of theirs is a subscription.
each AS (
    SELECT
        customer_id || ' ' || line AS subscription_id,
        customer_id,
        COALESCE(plan, 'Subscription') AS plan,
        currency,
        CAST(amount AS DECIMAL(18, 4)) AS price,
        CAST(month || '-01' AS DATE) AS started_at
    FROM (
        SELECT customer_id, plan, currency, CAST(ROW_NUMBER() OVER () AS TEXT) AS line,
            CAST(COLUMNS('^\d{4}-\d\d$') AS TEXT)
        FROM wide
    )
    UNPIVOT (amount FOR month IN (COLUMNS('^\d{4}-\d\d$')))
    WHERE NULLIF(amount, '-') IS NOT NULL AND CAST(NULLIF(amount, '-') AS DECIMAL(18, 4)) > 0
),
followed AS (
    SELECT
        *,
        LEAD(started_at) OVER (PARTITION BY subscription_id ORDER BY started_at) AS following,
        CAST(started_at + INTERVAL 1 MONTH AS DATE) AS over
    FROM each
)
SELECT
    * EXCLUDE (following, over),
    CASE WHEN started_at < (SELECT MAX(started_at) FROM each) THEN over END AS ended_at,
    CASE WHEN following = over THEN 'switched' END AS end_reason
FROM followed
