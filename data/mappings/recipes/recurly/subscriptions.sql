-- Subscriptions as they are now, with the day on which they ended or will end.
WITH subs AS (
    SELECT id AS subscription, account AS customer, plan, state, upper(currency) AS currency,
           CAST(quantity AS INTEGER) AS quantity, CAST(unit AS DOUBLE) AS unit,
           CAST(trial_start AS TIMESTAMP) AS trial_start,
           CAST(trial_end AS TIMESTAMP) AS trial_end, CAST(canceled_at AS TIMESTAMP) AS canceled_at,
           CASE WHEN state IN ('canceled', 'expired') THEN CAST(expires_at AS TIMESTAMP) END AS over_at,
           CASE WHEN reason LIKE 'nonpayment%' THEN 'involuntary'
                WHEN canceled_at IS NOT NULL OR reason = 'canceled' THEN 'voluntary' ELSE 'unknown' END AS reason
    FROM (SELECT DISTINCT * FROM subscription) WHERE state NOT IN ('failed', 'future')
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated DESC) = 1
),
plans AS (
    SELECT id AS plan, max_by(name, updated) AS name, rtrim(max_by(interval, updated), 's') AS billing_interval,
           CAST(max_by(count, updated) AS INTEGER) AS billing_interval_count
    FROM plan GROUP BY id
),
invoices AS (
    SELECT id AS invoice, max_by(state, updated) AS status,
           CAST(max_by(due_at, updated) AS TIMESTAMP) AS due_at,
           CAST(max_by(closed_at, updated) AS TIMESTAMP) AS closed_at
    FROM invoice GROUP BY id
),
-- Coupons as accounts held them, and whether they were for a single use.
coupons AS (
    SELECT redemption.id, any_value(account) AS account, CAST(min(created) AS TIMESTAMP) AS granted_at,
           CAST(max_by(removed, redemption.updated) AS TIMESTAMP) AS removed_at,
           any_value(durations.duration) AS duration
    FROM redemption
    LEFT JOIN (SELECT id, max_by(duration, updated) AS duration FROM coupon GROUP BY id) AS durations
           ON durations.id = redemption.coupon
    GROUP BY redemption.id
),
-- What was charged for plans and add-ons, before tax and discount.
lines AS (
    SELECT DISTINCT line.id, line.account, subscription, plan, invoice, upper(currency) AS currency,
           CASE WHEN add_on IS NULL THEN subscription ELSE subscription || ' ' || add_on END AS item,
           CAST(quantity AS INTEGER) AS quantity, CAST(starts AS TIMESTAMP) AS starts,
           CAST(ends AS TIMESTAMP) AS ends,
           CAST(created AS TIMESTAMP) AS created, CAST(unit AS DOUBLE) AS unit,
           CASE WHEN abs(coalesce(CAST(part AS DOUBLE), 1)) = 1 THEN CAST(unit AS DOUBLE) END AS whole,
           CAST(discount AS DOUBLE) / nullif(CAST(subtotal AS DOUBLE), 0) AS share
    FROM (SELECT * FROM line QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated DESC) = 1) AS line
    WHERE type = 'charge' AND origin IN ('plan', 'add_on') AND starts IS NOT NULL
),
discounts AS (
    SELECT lines.id, any_value(share) AS lasting,
           CASE WHEN bool_or(duration = 'forever') THEN 'forever' ELSE 'repeating' END AS discount_duration
    FROM lines LEFT JOIN coupons ON coupons.account = lines.account AND granted_at <= created
                                AND (removed_at IS NULL OR created <= removed_at)
    WHERE share > 0 GROUP BY lines.id HAVING coalesce(bool_or(duration <> 'single_use'), true)
),
-- A line for a part of a term may have a part of the price: the whole one is on the nearest line for a whole term.
bills AS (
    SELECT lines.* EXCLUDE (plan), plans.* EXCLUDE (plan, name), name AS plan,
           subs.* EXCLUDE (subscription, plan, currency, quantity, unit),
           invoices.* EXCLUDE (invoice), lasting, discount_duration,
           coalesce(whole, first_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
                    last_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                    lines.unit) AS unit_amount
    FROM lines JOIN plans USING (plan) JOIN subs USING (subscription) JOIN invoices USING (invoice)
    LEFT JOIN discounts USING (id)
    WHERE status <> 'voided' AND (over_at IS NULL OR starts < over_at)
      AND (trial_end IS NULL OR starts >= trial_end)
    WINDOW own AS (PARTITION BY item, plan ORDER BY starts, lines.id)
),
-- A charge lasts until the next of its item or the end of the subscription; the last of a running one goes on.
terms AS (
    SELECT * REPLACE (greatest(due_at, starts) AS due_at, CASE WHEN status = 'paid' THEN closed_at END AS closed_at),
           round(coalesce(lasting, 0) * unit_amount * quantity,
                 CASE WHEN currency IN ('JPY', 'KRW', 'CLP', 'VND', 'ISK') THEN 0 ELSE 2 END) AS discount,
           lead(starts) OVER own AS following,
           CASE WHEN lead(starts) OVER own IS NOT NULL OR over_at IS NOT NULL OR state = 'paused'
                     OR ends < max(ends) OVER (PARTITION BY subscription)
                THEN least(ends, lead(starts) OVER own, over_at) END AS until,
           status IN ('past_due', 'failed') OR coalesce(closed_at > due_at + INTERVAL 1 DAY, false) AS late
    FROM bills WINDOW own AS (PARTITION BY item ORDER BY starts, id)
),
-- It is active until it is due, past due until it is paid, and active again; then there may be a pause.
parts AS (
    SELECT terms.* EXCLUDE (starts, until, status), unnest([
        {'status': 'active', 'starts': starts, 'until': CASE WHEN late THEN least(due_at, until) ELSE until END},
        {'status': 'past_due', 'starts': CASE WHEN late THEN due_at END, 'until': least(closed_at, until)},
        {'status': 'active', 'starts': CASE WHEN late THEN closed_at END, 'until': until},
        {'status': 'paused', 'until': coalesce(following, over_at),
         'starts': CASE WHEN until + INTERVAL 1 DAY < following OR (state = 'paused' AND following IS NULL)
                        THEN until END}
    ], recursive := true)
    FROM terms
    UNION ALL BY NAME
    SELECT subscription AS item, customer, name AS plan, billing_interval, billing_interval_count, quantity,
           unit AS unit_amount, 0 AS discount, currency, over_at, reason, canceled_at, 'trialing' AS status, trial_start AS starts,
           CASE WHEN over_at IS NULL AND trial_end > (SELECT max(CAST(updated AS TIMESTAMP)) FROM subscription) THEN NULL
                ELSE least(trial_end, over_at) END AS until
    FROM subs JOIN plans USING (plan) WHERE trial_start IS NOT NULL
)
-- Each but the last is followed by another.
SELECT item AS subscription_id, customer AS customer_id, plan, billing_interval, billing_interval_count,
       quantity, unit_amount, discount, discount_duration, currency, status, starts AS started_at, until AS ended_at,
       CASE WHEN lead(starts) OVER own IS NOT NULL THEN 'switched' WHEN until IS NOT NULL THEN reason END
           AS end_reason,
       CASE WHEN lead(starts) OVER own IS NULL THEN canceled_at END AS cancel_requested_at
FROM parts WHERE starts IS NOT NULL AND (until IS NULL OR until > starts)
WINDOW own AS (PARTITION BY item ORDER BY starts)
