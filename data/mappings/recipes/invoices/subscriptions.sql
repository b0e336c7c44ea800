WITH
-- Each line once, in our words.
known AS (
    SELECT DISTINCT
        invoice, line, document, customer_id, plan, currency, status,
        COALESCE(subscription_id, customer_id || ' ' || plan) AS subscription_id,
        kind = 'trial' AS is_trial,
        billing_interval, billing_interval AS billing_interval_count,
        CAST(quantity AS BIGINT) AS quantity,
        CAST(unit_price AS DECIMAL(18, 4)) AS unit_price,
        COALESCE(CAST(discount AS DECIMAL(18, 4)), 0) AS discount,
        CAST(service_from AS DATE) AS started_at,
        CAST(service_until AS DATE) + 1 AS ended_at,
        CAST(invoiced AS DATE) AS invoiced,
        CAST(due AS DATE) AS due
    FROM lines
    WHERE kind IN ('subscription', 'trial') AND status <> 'void' AND service_from IS NOT NULL
),
-- Service that was taken back ends where the credit begins.
served AS (
    SELECT one.* EXCLUDE (document, invoiced), MIN(back.started_at) AS taken_back
    FROM known AS one
    LEFT JOIN known AS back
        ON back.document = 'credit note' AND back.subscription_id = one.subscription_id AND back.plan = one.plan
        AND back.quantity = one.quantity AND back.unit_price = one.unit_price AND back.invoiced >= one.invoiced
        AND back.started_at >= one.started_at AND back.ended_at <= one.ended_at
    WHERE one.document = 'invoice'
    GROUP BY ALL
),
-- What is unpaid, and what follows.
followed AS (
    SELECT
        * REPLACE (LEAST(ended_at, taken_back) AS ended_at),
        status = 'written off' OR (status = 'open' AND due < (SELECT MAX(invoiced) FROM known)) AS unpaid,
        LEAD(started_at) OVER (PARTITION BY subscription_id ORDER BY started_at, invoice, line) AS following
    FROM served
    WHERE taken_back IS NULL OR taken_back > started_at
)
SELECT
    subscription_id, customer_id, plan, currency, billing_interval, billing_interval_count, quantity, unit_price,
    discount, started_at,
    CASE WHEN is_trial THEN 'trialing' WHEN unpaid THEN 'past_due' ELSE 'active' END AS status,
    CASE
        WHEN following IS NOT NULL THEN LEAST(ended_at, following)
        WHEN ended_at <= (SELECT MAX(invoiced) FROM known) THEN ended_at
    END AS ended_at,
    CASE WHEN following <= ended_at THEN 'switched' WHEN unpaid THEN 'involuntary' END AS end_reason
FROM followed
