-- Subscriptions that were paid or tried, with their ends.
WITH subs AS (
    SELECT DISTINCT id AS subscription, customer, status AS state, pause,
           to_timestamp(CAST(trial_start AS BIGINT)) AS trial_start,
           to_timestamp(CAST(trial_end AS BIGINT)) AS trial_end,
           to_timestamp(CAST(canceled_at AS BIGINT)) AS canceled_at,
           to_timestamp(CAST(ended_at AS BIGINT)) AS ended_at,
           CASE WHEN reason IN ('payment_failed', 'payment_disputed') THEN 'involuntary'
                WHEN reason = 'cancellation_requested' THEN 'voluntary' ELSE 'unknown' END AS reason
    FROM subscription WHERE status NOT IN ('incomplete', 'incomplete_expired')
),
prices AS (
    SELECT DISTINCT price.id AS price, coalesce(product.name, price.product) AS plan,
           interval AS billing_interval, CAST(count AS INTEGER) AS billing_interval_count,
           CAST(amount AS DECIMAL(18, 4)) AS amount,
           upper(currency) AS currency, coalesce(tax = 'inclusive', false) AS inclusive
    FROM price LEFT JOIN product ON product.id = price.product WHERE interval IS NOT NULL
),
-- What a price was billed for. A negative line gives back what a change leaves unused; a trial is no bill.
lines AS (
    SELECT DISTINCT line.id, line.subscription, coalesce(item, line.subscription) AS item, price,
           CAST(quantity AS INTEGER) AS quantity, to_timestamp(CAST(starts AS BIGINT)) AS starts,
           to_timestamp(CAST(ends AS BIGINT)) AS ends,
           to_timestamp(CAST(invoice.created AS BIGINT)) AS billed_at,
           to_timestamp(CAST(paid_at AS BIGINT)) AS paid_at, invoice.status IN ('void', 'draft') AS void,
           invoice.status = 'draft' AS draft, invoice.status IN ('open', 'uncollectible') AS owed,
           1 - CAST(coalesce(tax, 0) AS DOUBLE) / nullif(CAST(total AS DOUBLE), 0) AS untaxed
    FROM line JOIN invoice ON invoice.id = line.invoice
    WHERE CAST(amount AS DECIMAL(18, 4)) >= 0 AND CAST(ends AS BIGINT) > CAST(starts AS BIGINT)
),
bills AS (
    SELECT lines.*, subs.* EXCLUDE (subscription), prices.* EXCLUDE (price, amount),
           round(CASE WHEN inclusive THEN amount * coalesce(untaxed, 1) ELSE amount END) AS unit_amount
    FROM lines JOIN subs USING (subscription) JOIN prices USING (price)
    WHERE (trial_end IS NULL OR starts >= trial_end) AND (ended_at IS NULL OR starts < ended_at)
    -- A voided bill is a pause only where no other took its place.
    QUALIFY NOT void OR bool_and(void) OVER (PARTITION BY item, starts)
),
-- A coupon on a single bill does not lower what recurs.
coupons AS (
    SELECT DISTINCT discount.subscription, discount.customer,
           to_timestamp(CAST(starts AS BIGINT)) AS granted_at,
           to_timestamp(CAST(ends AS BIGINT)) AS over_at, duration, coupon.id AS coupon,
           coalesce(CAST(percent AS DOUBLE), 0) / 100 AS share,
           coalesce(CAST(coupon.amount AS DOUBLE), 0) AS off
    FROM discount JOIN coupon ON coupon.id = discount.coupon WHERE duration <> 'once'
),
discounts AS (
    SELECT bills.id, max(duration) AS discount_duration,
           least(round(sum(share * unit_amount * quantity + off)), any_value(unit_amount * quantity)) AS discount
    FROM bills JOIN coupons
      ON coalesce(coupons.subscription = bills.subscription, coupons.customer = bills.customer)
     AND billed_at >= granted_at AND (over_at IS NULL OR billed_at < over_at)
    GROUP BY bills.id
),
-- A bill lasts until the next of its item or the end of the subscription; the last of a running one goes on. That may
-- be a draft for an hour, without being a pause. What is owed when a subscription ends for failed payments was never
-- paid, even if it was voided then.
terms AS (
    SELECT bills.*, coalesce(discount, 0) AS discount, discount_duration,
           draft AND pause IS NULL AND lead(starts) OVER own IS NULL AS fresh,
           void AND NOT fresh
               AND NOT (reason = 'involuntary' AND ended_at IS NOT NULL AND lead(starts) OVER own IS NULL) AS idle,
           owed OR (void AND NOT fresh) OR coalesce(paid_at > starts + INTERVAL 1 DAY, false) AS late,
           CASE WHEN lead(starts) OVER own IS NOT NULL OR ended_at IS NOT NULL
                     OR ends < max(ends) OVER (PARTITION BY subscription)
                THEN least(ends, lead(starts) OVER own, ended_at) END AS until
    FROM bills LEFT JOIN discounts USING (id) WINDOW own AS (PARTITION BY item ORDER BY starts, bills.id)
),
-- One that was paid a day or more late was past due until then.
parts AS (
    SELECT terms.* EXCLUDE (starts, until), unnest([
        {'status': 'paused', 'starts': CASE WHEN idle THEN starts END, 'until': until},
        {'status': 'active', 'starts': CASE WHEN NOT late THEN starts END, 'until': until},
        {'status': 'past_due', 'starts': CASE WHEN late AND NOT idle THEN starts END, 'until': least(paid_at, until)},
        {'status': 'active', 'starts': CASE WHEN late THEN paid_at END, 'until': until}
    ], recursive := true)
    FROM terms
    UNION ALL BY NAME
    SELECT DISTINCT item.id AS item, subscription, customer, plan, billing_interval, billing_interval_count,
           CAST(item.quantity AS INTEGER) AS quantity, round(amount) AS unit_amount, 0 AS discount, currency,
           reason, canceled_at, 'trialing' AS status, trial_start AS starts,
           CASE WHEN state <> 'trialing' THEN least(trial_end, ended_at) END AS until
    FROM subs JOIN item USING (subscription) JOIN prices USING (price) WHERE trial_start IS NOT NULL
)
-- A subscription to several prices is one of each.
SELECT CASE WHEN min(item) OVER sub = max(item) OVER sub THEN subscription ELSE item END AS subscription_id,
       customer AS customer_id, plan, billing_interval, billing_interval_count, quantity, unit_amount, discount,
       discount_duration, currency, status, starts AS started_at, until AS ended_at,
       CASE WHEN lead(starts) OVER own IS NOT NULL THEN 'switched' WHEN until IS NOT NULL THEN reason END
           AS end_reason,
       CASE WHEN lead(starts) OVER own IS NULL THEN canceled_at END AS cancel_requested_at
FROM parts WHERE starts IS NOT NULL AND (until IS NULL OR until > starts)
WINDOW own AS (PARTITION BY item ORDER BY starts), sub AS (PARTITION BY subscription)
