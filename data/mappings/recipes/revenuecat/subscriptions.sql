WITH
-- The latest row of each transaction that a customer pays for.
latest AS (
    SELECT *
    FROM transactions
    WHERE LOWER(CAST(is_sandbox AS TEXT)) = 'false' AND store <> 'promotional'
        AND COALESCE(ownership, 'PURCHASED') <> 'FAMILY_SHARED'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY store, transaction_id ORDER BY CAST(updated_at AS TIMESTAMP) DESC) = 1
),
paid AS (
    SELECT
        subscription_id, customer_id, product AS plan, currency,
        LOWER(CAST(is_trial AS TEXT)) = 'true' AS is_trial,
        LOWER(CAST(is_auto_renewable AS TEXT)) = 'true' OR ended_at IS NOT NULL AS has_term,
        CAST(started_at AS TIMESTAMP) AS started_at,
        CAST(ended_at AS TIMESTAMP) AS term_end,
        CAST(COALESCE(effective_end, ended_at) AS TIMESTAMP) AS access_end,
        CAST(unsubscribed_at AS TIMESTAMP) AS unsubscribed_at,
        billing_issue_at IS NOT NULL AS had_issue,
        resumes_at IS NOT NULL AS was_paused,
        DATE_DIFF('day', CAST(started_at AS TIMESTAMP), CAST(ended_at AS TIMESTAMP)) AS days,
        CAST(price AS DECIMAL(18, 4)) * (1 - COALESCE(CAST(tax AS DECIMAL(9, 6)), 0)) AS net,
        LEAD(CAST(started_at AS TIMESTAMP)) OVER (
            PARTITION BY subscription_id ORDER BY CAST(started_at AS TIMESTAMP), transaction_id
        ) AS following
    FROM latest
),
-- Terms by their length: the standard duration is that of no offer, and may be empty.
termed AS (
    SELECT
        * EXCLUDE (days),
        CAST(ROUND(days / 30.4375) AS BIGINT) AS months,
        CASE
            WHEN NOT has_term THEN 'once' WHEN days < 25 AND days % 7 = 0 THEN 'week' WHEN days < 25 THEN 'day'
            WHEN months % 12 = 0 THEN 'year' ELSE 'month'
        END AS billing_interval,
        CASE billing_interval
            WHEN 'once' THEN 1 WHEN 'week' THEN days // 7 WHEN 'day' THEN GREATEST(days, 1)
            WHEN 'year' THEN months // 12 ELSE months
        END AS billing_interval_count
    FROM paid
),
-- Each transaction's paid time, the time in which a card had failed, and the time of a pause.
stretches AS (
    SELECT *, CASE WHEN is_trial THEN 'trialing' ELSE 'active' END AS status, started_at AS begins,
        LEAST(term_end, access_end, following) AS ends
    FROM termed
    UNION ALL
    SELECT *, 'past_due', term_end, LEAST(access_end, following)
    FROM termed
    WHERE had_issue AND access_end > term_end AND COALESCE(following > term_end, TRUE)
    UNION ALL
    SELECT *, 'paused', access_end, following
    FROM termed
    WHERE was_paused AND COALESCE(following > access_end, TRUE)
),
known AS (
    SELECT
        * EXCLUDE (following),
        LEAD(begins) OVER (PARTITION BY subscription_id ORDER BY begins, ends) AS following,
        (SELECT MAX(CAST(updated_at AS TIMESTAMP)) FROM transactions) AS now
    FROM stretches
)
SELECT
    subscription_id, customer_id, plan, billing_interval, billing_interval_count, currency, status,
    CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP') THEN ROUND(net) ELSE ROUND(net, 2) END AS price,
    begins AS started_at,
    CASE WHEN ends <= now OR following IS NOT NULL THEN ends END AS ended_at,
    CASE
        WHEN following < ends + INTERVAL 1 DAY THEN 'switched'
        WHEN unsubscribed_at IS NOT NULL THEN 'voluntary'
        WHEN had_issue THEN 'involuntary'
    END AS end_reason,
    CASE
        WHEN following IS NULL AND status IN ('active', 'trialing') AND unsubscribed_at IS NOT NULL
        THEN GREATEST(unsubscribed_at, begins)
    END AS cancel_requested_at
FROM known
WHERE ends > begins OR ends IS NULL
