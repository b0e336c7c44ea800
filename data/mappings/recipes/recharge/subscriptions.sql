WITH
subscription AS (
    SELECT DISTINCT
        id, customer_id, reason, unit, CAST(charge_interval AS INTEGER) AS every,
        CAST(cancelled_at AS TIMESTAMPTZ) AS cancelled_at
    FROM subscriptions
    WHERE COALESCE(LOWER(CAST(deleted AS TEXT)), 'false') <> 'true'
),
-- What each charge says of a subscription; charges that are only planned say nothing.
charged AS (
    SELECT DISTINCT
        c.id AS charge_id, l.subscription_id, l.title AS plan, c.currency, c.status AS state,
        CAST(c.scheduled_at AS TIMESTAMPTZ) AS started_at,
        CAST(l.quantity AS BIGINT) AS quantity,
        CAST(l.price AS DECIMAL(18, 4)) AS price,
        COALESCE(CAST(c.discounts AS DECIMAL(18, 4)), 0) AS discounts
    FROM charges AS c
    JOIN lines AS l ON l.charge_id = c.id
    WHERE c.status IN ('success', 'refunded', 'partially_refunded', 'error', 'skipped')
),
-- A charge's discount falls on its lines by what they cost.
shared AS (
    SELECT charge_id, SUM(CAST(price AS DECIMAL(18, 4)) * CAST(quantity AS BIGINT)) AS whole
    FROM (SELECT DISTINCT * FROM lines)
    GROUP BY charge_id
),
granted AS (
    SELECT
        used.charge_id,
        BOOL_AND(codes.duration = 'single_use') AS once,
        BOOL_AND(codes.duration = 'forever') AS ever
    FROM used LEFT JOIN codes USING (code)
    GROUP BY used.charge_id
),
followed AS (
    SELECT
        charged.*, s.customer_id, s.reason, s.unit, s.every, s.cancelled_at, granted.once, granted.ever,
        CASE WHEN shared.whole > 0 THEN charged.discounts * charged.price * charged.quantity / shared.whole ELSE 0 END
            AS share,
        LEAD(started_at) OVER (PARTITION BY subscription_id ORDER BY started_at, charge_id) AS following,
        started_at + CASE s.unit
            WHEN 'day' THEN TO_DAYS(s.every) WHEN 'week' THEN TO_DAYS(7 * s.every) ELSE TO_MONTHS(s.every)
        END AS over
    FROM charged
    JOIN subscription AS s ON s.id = charged.subscription_id
    LEFT JOIN shared USING (charge_id)
    LEFT JOIN granted USING (charge_id)
)
SELECT
    subscription_id, customer_id, plan, currency, quantity, price, started_at,
    unit AS billing_interval,
    every AS billing_interval_count,
    CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP') THEN ROUND(share) ELSE ROUND(share, 2) END AS discount,
    CASE WHEN once THEN 'once' WHEN ever THEN 'forever' WHEN share > 0 THEN 'repeating' END AS discount_duration,
    CASE state WHEN 'skipped' THEN 'paused' WHEN 'error' THEN 'past_due' ELSE 'active' END AS status,
    CASE
        WHEN following <= over + (over - started_at) THEN following
        WHEN following IS NOT NULL THEN over
        WHEN cancelled_at IS NOT NULL AND state IN ('error', 'skipped') THEN GREATEST(cancelled_at, started_at)
        WHEN cancelled_at IS NOT NULL THEN GREATEST(over, cancelled_at)
    END AS ended_at,
    CASE
        WHEN following <= over + (over - started_at) THEN 'switched'
        WHEN following IS NOT NULL OR cancelled_at IS NULL THEN NULL
        WHEN state = 'error' OR LOWER(reason) LIKE '%charge attempts%' THEN 'involuntary'
        ELSE 'voluntary'
    END AS end_reason,
    CASE WHEN following IS NULL AND cancelled_at >= started_at THEN cancelled_at END AS cancel_requested_at
FROM followed
WHERE following IS NULL OR following > started_at
