-- Subscriptions that have begun, with their ends. One that does not renew ends on a day still to come.
WITH subs AS (
    SELECT DISTINCT id AS subscription, customer, status AS state,
           CAST(trial_start AS TIMESTAMP) AS trial_start,
           CAST(trial_end AS TIMESTAMP) AS trial_end,
           coalesce(CAST(asked_at AS TIMESTAMP), CASE WHEN status = 'cancelled' THEN CAST(cancelled_at AS TIMESTAMP) END)
               AS canceled_at,
           CASE WHEN status IN ('cancelled', 'non_renewing') THEN CAST(cancelled_at AS TIMESTAMP) END AS over_at,
           CASE WHEN reason IN ('not_paid', 'no_card') THEN 'involuntary' WHEN reason IS NULL THEN 'voluntary'
                ELSE 'unknown' END AS reason
    FROM subscription WHERE status <> 'future' AND NOT coalesce(CAST(deleted AS BOOLEAN), false)
),
prices AS (
    SELECT DISTINCT id AS price, name AS plan, interval AS billing_interval,
           CAST(count AS INTEGER) AS billing_interval_count
    FROM price WHERE interval IS NOT NULL
),
-- The plan that is tried, or was.
tried AS (
    SELECT DISTINCT subscription, CAST(quantity AS INTEGER) AS quantity, CAST(amount AS DOUBLE) AS unit_amount,
           upper(currency) AS currency, prices.* EXCLUDE (price)
    FROM item JOIN prices USING (price) JOIN price ON price.id = item.price WHERE item.kind = 'plan'
),
discounts AS (
    SELECT line, sum(CAST(amount AS DOUBLE)) AS off,
           CASE WHEN bool_or(duration = 'forever') THEN 'forever' ELSE 'repeating' END AS discount_duration
    FROM (SELECT DISTINCT line, coupon, amount FROM discount)
    LEFT JOIN (SELECT DISTINCT id, duration FROM coupon) AS coupons ON coupons.id = coupon
    WHERE duration IS DISTINCT FROM 'one_time' GROUP BY line
),
-- What was invoiced for plans and add-ons, before tax. What is charged once has no period or is no item price.
lines AS (
    SELECT DISTINCT line.id, subscription, price, invoice.status, CAST(quantity AS INTEGER) AS quantity,
           CASE WHEN kind LIKE 'plan%' THEN subscription ELSE subscription || ' ' || price END AS item,
           CAST(starts AS TIMESTAMP) AS starts, CAST(ends AS TIMESTAMP) AS ends, upper(currency) AS currency,
           CAST(paid_at AS TIMESTAMP) AS paid_at,
           greatest(CAST(due_at AS TIMESTAMP), CAST(starts AS TIMESTAMP)) AS due_at,
           CAST(unit AS DOUBLE) * CASE WHEN price_type = 'tax_inclusive' THEN
               1 - coalesce(CAST(line.tax AS DOUBLE), 0) / nullif(CAST(amount AS DOUBLE), 0) ELSE 1 END AS unit,
           coalesce(off, 0) / nullif(CAST(amount AS DOUBLE), 0) AS share, discount_duration
    FROM line JOIN invoice ON invoice.id = line.invoice LEFT JOIN discounts ON discounts.line = line.id
    WHERE kind IN ('plan', 'plan_item_price', 'addon', 'addon_item_price')
      AND invoice.status NOT IN ('voided', 'pending')
),
-- A line for a part of a term has a part of the price: the whole one is on the nearest line for a whole term.
wholes AS (
    SELECT lines.* EXCLUDE (unit), prices.* EXCLUDE (price), unit AS part,
           CASE WHEN ends >= starts + (CASE billing_interval WHEN 'year' THEN to_years(billing_interval_count)
               WHEN 'month' THEN to_months(billing_interval_count) WHEN 'week' THEN to_weeks(billing_interval_count)
               ELSE to_days(billing_interval_count) END) - INTERVAL 4 HOUR THEN unit END AS whole
    FROM lines JOIN prices USING (price)
),
bills AS (
    SELECT wholes.*, subs.* EXCLUDE (subscription),
           round(coalesce(whole, first_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
                          last_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                          part)) AS unit_amount
    FROM wholes JOIN subs USING (subscription) WHERE over_at IS NULL OR starts < over_at
    WINDOW own AS (PARTITION BY item, price ORDER BY starts, id)
),
-- An invoice lasts until the next of its item or the end of the subscription; the last of a running one goes on.
terms AS (
    SELECT *, round(coalesce(share, 0) * unit_amount * quantity) AS discount,
           lead(starts) OVER own AS following,
           CASE WHEN lead(starts) OVER own IS NOT NULL OR over_at IS NOT NULL OR state = 'paused'
                     OR ends < max(ends) OVER (PARTITION BY subscription)
                THEN least(ends, lead(starts) OVER own, over_at) END AS until,
           status IN ('payment_due', 'not_paid') OR coalesce(paid_at > due_at + INTERVAL 1 DAY, false) AS late
    FROM bills WINDOW own AS (PARTITION BY item ORDER BY starts, id)
),
-- It is active until it is due, past due until it is paid, and active again; then there may be a pause.
parts AS (
    SELECT terms.* EXCLUDE (starts, until, status), unnest([
        {'status': 'active', 'starts': starts, 'until': CASE WHEN late THEN least(due_at, until) ELSE until END},
        {'status': 'past_due', 'starts': CASE WHEN late THEN due_at END, 'until': least(paid_at, until)},
        {'status': 'active', 'starts': CASE WHEN late THEN paid_at END, 'until': until},
        {'status': 'paused', 'until': following,
         'starts': CASE WHEN until + INTERVAL 1 DAY < following OR (state = 'paused' AND following IS NULL)
                        THEN until END}
    ], recursive := true)
    FROM terms
    UNION ALL BY NAME
    SELECT subscription AS item, customer, plan, billing_interval, billing_interval_count, quantity, unit_amount,
           0 AS discount, currency, over_at, reason, canceled_at, 'trialing' AS status, trial_start AS starts,
           CASE WHEN state <> 'in_trial' THEN least(trial_end, over_at) END AS until
    FROM subs JOIN tried USING (subscription) WHERE trial_start IS NOT NULL
)
-- Each but the last is followed by another.
SELECT item AS subscription_id, customer AS customer_id, plan, billing_interval, billing_interval_count,
       quantity, unit_amount, discount, discount_duration, currency, status, starts AS started_at, until AS ended_at,
       CASE WHEN lead(starts) OVER own IS NOT NULL THEN 'switched' WHEN until IS NOT NULL THEN reason END
           AS end_reason,
       CASE WHEN lead(starts) OVER own IS NULL THEN canceled_at END AS cancel_requested_at
FROM parts WHERE starts IS NOT NULL AND (until IS NULL OR until > starts)
WINDOW own AS (PARTITION BY item ORDER BY starts)
