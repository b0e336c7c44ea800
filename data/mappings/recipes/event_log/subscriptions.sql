WITH
-- Each event once, with what it does to the status; a change leaves that as it was.
log AS (
    SELECT DISTINCT
        event_id, customer_id, COALESCE(subscription_id, customer_id) AS subscription_id, event, plan, billing_interval, price, currency, reason,
        CAST(occurred_at AS TIMESTAMP) AS moment,
        COALESCE(CAST(quantity AS BIGINT), 1) AS quantity,
        COALESCE(discount, discount_once, '0') AS discount,
        CASE WHEN discount IS NULL AND discount_once IS NOT NULL THEN 'once' END AS discount_duration,
        CASE event
            WHEN 'trial_started' THEN 'trialing'
            WHEN 'subscribed' THEN 'active'
            WHEN 'resumed' THEN 'active'
            WHEN 'payment_recovered' THEN 'active'
            WHEN 'paused' THEN 'paused'
            WHEN 'payment_failed' THEN 'past_due'
        END AS status
    FROM events
),
-- From each event to the next; `terms` numbers what is paid, `states` the status.
stretches AS (
    SELECT
        *,
        LEAD(moment) OVER own AS ended_at,
        LEAD(event) OVER own AS following,
        LEAD(reason) OVER own AS why,
        COUNT(price) OVER own AS terms,
        COUNT(status) OVER own AS states
    FROM log
    WHERE status IS NOT NULL OR event IN ('changed', 'cancelled')
    WINDOW own AS (PARTITION BY subscription_id ORDER BY moment, LENGTH(CAST(event_id AS TEXT)), event_id)
),
filled AS (
    SELECT
        subscription_id, customer_id, event, moment AS started_at, ended_at, following, why,
        MAX(status) OVER state AS status,
        MAX(plan) OVER term AS plan,
        MAX(billing_interval) OVER term AS billing_interval,
        MAX(billing_interval) OVER term AS billing_interval_count,
        MAX(price) OVER term AS price,
        MAX(CASE WHEN price IS NOT NULL THEN quantity END) OVER term AS quantity,
        MAX(CASE WHEN price IS NOT NULL THEN discount END) OVER term AS discount,
        MAX(CASE WHEN price IS NOT NULL THEN discount_duration END) OVER term AS discount_duration,
        MAX(currency) OVER term AS currency
    FROM stretches
    WINDOW
        term AS (PARTITION BY subscription_id, terms),
        state AS (PARTITION BY subscription_id, states)
)
SELECT
    f.* EXCLUDE (event, following, why),
    CASE WHEN following = 'cancelled' THEN COALESCE(why, 'unknown') WHEN following IS NOT NULL THEN 'switched' END
        AS end_reason,
    (
        SELECT MAX(asked.moment) FROM log AS asked
        WHERE asked.event = 'cancel_requested' AND asked.subscription_id = f.subscription_id
            AND asked.moment >= f.started_at AND (asked.moment <= f.ended_at OR f.ended_at IS NULL)
    ) AS cancel_requested_at
FROM filled AS f
WHERE event <> 'cancelled' AND (ended_at > started_at OR ended_at IS NULL)
