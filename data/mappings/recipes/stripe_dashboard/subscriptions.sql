-- Subscriptions that were paid or tried; those that are unpaid have been so since their current period began.
WITH subs AS (
    SELECT DISTINCT id AS subscription_id, customer AS customer_id, coalesce(product, 'Plan') AS plan,
           CAST(coalesce(quantity, '1') AS INTEGER) AS quantity, upper(currency) AS currency, status AS state,
           lower(interval) AS billing_interval, CAST(coalesce(count, '1') AS INTEGER) AS billing_interval_count,
           CAST(amount AS DECIMAL(18, 3)) AS amount, coupon,
           coalesce(CAST(started AS TIMESTAMP), CAST(created AS TIMESTAMP)) AS created_at,
           CAST(trial_start AS TIMESTAMP) AS trial_start, CAST(trial_end AS TIMESTAMP) AS trial_end,
           CAST(canceled_at AS TIMESTAMP) AS canceled_at,
           CASE WHEN status = 'canceled' THEN CAST(coalesce(ended_at, canceled_at) AS TIMESTAMP) END AS over_at,
           CASE WHEN status IN ('past_due', 'unpaid') OR (status = 'canceled' AND reason = 'payment_failed')
                THEN CAST(period_start AS TIMESTAMP) END AS unpaid_since,
           CASE WHEN reason IN ('payment_failed', 'payment_disputed') THEN 'involuntary'
                WHEN reason = 'cancellation_requested' THEN 'voluntary' ELSE 'unknown' END AS reason
    FROM subscription WHERE status NOT IN ('incomplete', 'incomplete_expired')
),
paid AS (
    SELECT *, coalesce(trial_end, created_at) AS paid_from,
           coalesce(unpaid_since, over_at, 'infinity') AS paid_until
    FROM subs WHERE state NOT IN ('trialing', 'paused')
),
-- A coupon for some months lowers as many of them; one on a single bill lowers nothing that recurs.
discounts AS (
    SELECT subscription_id, duration AS discount_duration,
           least(round(paid.amount * quantity * coalesce(CAST(coupon.percent AS DECIMAL(9, 4)), 0) / 100
                       + coalesce(CAST(coupon.amount AS DECIMAL(18, 3)), 0),
                       CASE WHEN currency IN ('JPY', 'KRW', 'CLP', 'VND', 'ISK') THEN 0 ELSE 2 END),
                 paid.amount * quantity) AS discount,
           paid_from + to_months(CASE WHEN duration = 'repeating' THEN CAST(months AS INTEGER) END) AS discount_until
    FROM paid JOIN (SELECT DISTINCT id, percent, amount, duration, months FROM coupon) AS coupon ON coupon.id = paid.coupon
    WHERE duration <> 'once'
),
parts AS (
    SELECT subscription_id, 'trialing' AS status, trial_start AS started_at,
           CASE WHEN state <> 'trialing' THEN least(trial_end, over_at) END AS ended_at, false AS cheaper
    FROM subs WHERE trial_start IS NOT NULL
    UNION ALL
    SELECT subscription_id, 'active', paid_from, least(paid_until, discount_until), true
    FROM paid JOIN discounts USING (subscription_id)
    UNION ALL
    SELECT subscription_id, 'active', coalesce(discount_until, paid_from), paid_until, false
    FROM paid LEFT JOIN discounts USING (subscription_id) WHERE discount_duration IS DISTINCT FROM 'forever'
    UNION ALL
    SELECT subscription_id, 'past_due', greatest(unpaid_since, paid_from), over_at, false
    FROM paid WHERE unpaid_since IS NOT NULL
)
SELECT subscription_id, customer_id, plan, billing_interval, billing_interval_count, quantity, amount, currency,
       CASE WHEN cheaper THEN discount ELSE 0 END AS discount,
       CASE WHEN cheaper THEN discount_duration END AS discount_duration, status, started_at,
       nullif(ended_at, 'infinity') AS ended_at,
       CASE WHEN lead(started_at) OVER own IS NOT NULL THEN 'switched' WHEN over_at IS NOT NULL THEN reason END
           AS end_reason,
       CASE WHEN lead(started_at) OVER own IS NULL THEN canceled_at END AS cancel_requested_at
FROM parts JOIN subs USING (subscription_id) LEFT JOIN discounts USING (subscription_id)
WHERE ended_at IS NULL OR ended_at > started_at
WINDOW own AS (PARTITION BY subscription_id ORDER BY started_at)
