-- Subscriptions that were paid or tried, as they are now; merged exports may have one twice.
WITH subs AS (
    SELECT DISTINCT CAST(id AS VARCHAR) AS id,
           coalesce(nullif(CAST(customer AS VARCHAR), '0'), lower(email)) AS customer_id,
           replace(lower(status), 'wc-', '') AS state, CAST(started AS TIMESTAMP) AS started,
           CAST(nullif(trial_end, '0') AS TIMESTAMP) AS trial_end,
           CAST(nullif(ordered, '0') AS TIMESTAMP) AS ordered,
           CAST(nullif(ended, '0') AS TIMESTAMP) AS ended, interval AS billing_interval,
           CAST(count AS INTEGER) AS billing_interval_count, upper(currency) AS currency,
           CAST(coalesce(discount, '0') AS DECIMAL(18, 4)) AS discount, items
    FROM subscription WHERE replace(lower(status), 'wc-', '') NOT IN ('pending', 'draft', 'auto-draft', 'trash')
),
-- The products of each: product_id:…|name:…|quantity:…|total:…|…, one after the other.
products AS (
    SELECT id, place, regexp_extract(product, 'name:(.*?)\|quantity:', 1) AS plan,
           CAST(regexp_extract(product, '\|quantity:(\d+)', 1) AS INTEGER) AS quantity,
           CAST(regexp_extract(product, '\|total:([0-9.]+)', 1) AS DECIMAL(18, 4)) AS total
    FROM (SELECT id, unnest(string_split(replace(items, ';product_id:', chr(1) || 'product_id:'), chr(1))) AS product,
                 generate_subscripts(string_split(replace(items, ';product_id:', chr(1) || 'product_id:'), chr(1)), 1) AS place
          FROM subs)
),
-- Totals are after the discount of the whole: its share is put back on the price of a unit.
prices AS (
    SELECT products.*, subs.* EXCLUDE (id, items, discount),
           ceil((total + discount * total / nullif(sum(total) OVER sub, 0)) / quantity
                * CASE WHEN currency IN ('JPY', 'KRW', 'CLP', 'VND', 'ISK') THEN 1 ELSE 100 END)
               / CASE WHEN currency IN ('JPY', 'KRW', 'CLP', 'VND', 'ISK') THEN 1 ELSE 100 END AS unit_amount,
           state = 'active' AND coalesce(ordered < trial_end, trial_end IS NOT NULL) AS trying,
           CASE WHEN count(*) OVER sub > 1 THEN products.id || '-' || place ELSE products.id END AS subscription_id
    FROM products JOIN subs ON subs.id = products.id WHERE quantity > 0
    WINDOW sub AS (PARTITION BY products.id)
),
parts AS (
    SELECT * EXCLUDE (state, started, trial_end, ordered, ended), state, ended AS over_at, unnest([
        {'status': 'trialing', 'started_at': CASE WHEN trial_end IS NOT NULL THEN started END,
         'ended_at': CASE WHEN NOT trying THEN least(trial_end, ended) END},
        {'status': 'active', 'started_at': CASE WHEN NOT trying THEN coalesce(trial_end, started) END,
         'ended_at': CASE WHEN state = 'on-hold' THEN ordered ELSE ended END},
        {'status': 'past_due', 'started_at': CASE WHEN state = 'on-hold' THEN greatest(ordered, trial_end) END,
         'ended_at': ended}
    ], recursive := true)
    FROM prices
)
SELECT subscription_id, customer_id, plan, billing_interval, billing_interval_count, quantity, unit_amount,
       currency,
       greatest(unit_amount * quantity - total, 0) AS discount,
       CASE WHEN unit_amount * quantity > total THEN 'forever' END AS discount_duration, status, started_at,
           ended_at,
       CASE WHEN lead(started_at) OVER own IS NOT NULL OR state = 'switched' AND ended_at IS NOT NULL THEN 'switched'
            WHEN state = 'expired' THEN 'expired' WHEN ended_at IS NOT NULL THEN 'unknown' END AS end_reason
FROM parts WHERE started_at IS NOT NULL AND (ended_at IS NULL OR ended_at > started_at)
WINDOW own AS (PARTITION BY subscription_id ORDER BY started_at)
