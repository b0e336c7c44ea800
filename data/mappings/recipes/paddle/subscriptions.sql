-- Subscriptions, with the day on which they ended or will end.
WITH subs AS (
    SELECT DISTINCT id AS subscription, customer, status AS state, CAST(paused_at AS TIMESTAMP) AS paused_at,
           coalesce(CAST(canceled_at AS TIMESTAMP), CASE WHEN planned = 'cancel' THEN CAST(planned_at AS TIMESTAMP) END)
               AS over_at
    FROM subscription
),
prices AS (
    SELECT DISTINCT price.id AS price, product, name AS plan, interval AS billing_interval,
           CAST(count AS INTEGER) AS billing_interval_count, CAST(amount AS DOUBLE) AS listed
    FROM price JOIN product ON product.id = price.product WHERE interval IS NOT NULL
),
-- What a subscription was billed for a period, without what is sold once, before tax and discount.
lines AS (
    SELECT DISTINCT line.id, transaction, subscription, price, sale.status, upper(currency) AS currency,
           CAST(quantity AS INTEGER) AS quantity, CAST(starts AS TIMESTAMP) AS starts,
           CAST(ends AS TIMESTAMP) AS ends,
           CAST(billed_at AS TIMESTAMP) AS due_at, CAST(unit AS DOUBLE) AS unit,
           CASE WHEN coalesce(CAST(part AS DOUBLE), 1) = 1 THEN CAST(unit AS DOUBLE) END AS whole,
           CASE WHEN recurring.id IS NOT NULL
                THEN CAST(line.discount AS DOUBLE) / nullif(CAST(subtotal AS DOUBLE), 0) END AS share,
           CASE WHEN recurring.id IS NOT NULL THEN CASE WHEN intervals IS NULL THEN 'forever' ELSE 'repeating' END END
               AS discount_duration
    FROM line JOIN transaction AS sale ON sale.id = line.transaction
    LEFT JOIN (SELECT DISTINCT id, intervals FROM discount WHERE CAST(recur AS BOOLEAN)) AS recurring
           ON recurring.id = sale.discount
    WHERE sale.status IN ('billed', 'paid', 'completed', 'past_due') AND starts IS NOT NULL
),
paid AS (
    SELECT transaction, min(CAST(captured_at AS TIMESTAMP)) AS paid_at
    FROM payment WHERE status = 'captured' GROUP BY transaction
),
-- A subscription to several products at once is one of each. Where a line is for a part of a period, the whole price
-- is on the nearest line for a whole one.
bills AS (
    SELECT lines.*, prices.* EXCLUDE (price), subs.* EXCLUDE (subscription), paid_at,
           count(*) OVER (PARTITION BY transaction) > 1 AS several, unit = 0 AND listed > 0 AS trial,
           round(coalesce(whole, first_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
                          last_value(whole IGNORE NULLS) OVER (own ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                          unit)) AS unit_amount
    FROM lines JOIN prices USING (price) JOIN subs USING (subscription) LEFT JOIN paid USING (transaction)
    WHERE over_at IS NULL OR starts < over_at
    WINDOW own AS (PARTITION BY subscription, price ORDER BY starts, lines.id)
),
items AS (
    SELECT *, CASE WHEN bool_or(several) OVER (PARTITION BY subscription) THEN subscription || ' ' || product
                   ELSE subscription END AS item
    FROM bills
),
-- A bill lasts until the next of its item or the end of the subscription; the last of a running one goes on.
terms AS (
    SELECT * REPLACE (CASE WHEN trial THEN listed ELSE unit_amount END AS unit_amount),
           CASE WHEN trial THEN 0 ELSE round(coalesce(share, 0) * unit_amount * quantity) END AS discount,
           lead(starts) OVER own AS following,
           CASE WHEN lead(starts) OVER own IS NOT NULL OR over_at IS NOT NULL OR state = 'paused'
                     OR ends < max(ends) OVER (PARTITION BY subscription)
                THEN least(ends, lead(starts) OVER own, over_at, CASE WHEN lead(starts) OVER own IS NULL THEN paused_at END)
           END AS until,
           status = 'past_due' OR coalesce(paid_at > due_at + INTERVAL 1 DAY, false) AS late,
           CASE WHEN last_value(status) OVER (PARTITION BY subscription ORDER BY starts, id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) = 'past_due' THEN 'involuntary'
                ELSE 'voluntary' END AS reason
    FROM items WINDOW own AS (PARTITION BY item ORDER BY starts, id)
),
-- It is active until it is due, past due until it is paid, and active again; then there may be a pause.
parts AS (
    SELECT terms.* EXCLUDE (starts, until, status), unnest([
        {'status': CASE WHEN trial THEN 'trialing' ELSE 'active' END, 'starts': starts,
         'until': CASE WHEN late THEN least(due_at, until) ELSE until END},
        {'status': 'past_due', 'starts': CASE WHEN late THEN greatest(due_at, starts) END, 'until': least(paid_at, until)},
        {'status': 'active', 'starts': CASE WHEN late THEN paid_at END, 'until': until},
        {'status': 'paused', 'until': coalesce(following, over_at),
         'starts': CASE WHEN until + INTERVAL 1 DAY < following OR (state = 'paused' AND following IS NULL)
                        THEN until END}
    ], recursive := true)
    FROM terms
)
-- Each but the last is followed by another.
SELECT item AS subscription_id, customer AS customer_id, plan, billing_interval, billing_interval_count,
       quantity, unit_amount, discount, discount_duration, currency, status, starts AS started_at, until AS ended_at,
       CASE WHEN lead(starts) OVER own IS NOT NULL THEN 'switched' WHEN until IS NOT NULL THEN reason END
           AS end_reason
FROM parts WHERE starts IS NOT NULL AND (until IS NULL OR until > starts)
WINDOW own AS (PARTITION BY item ORDER BY starts)
