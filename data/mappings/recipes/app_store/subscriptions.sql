WITH
-- Each purchase once, with the time that it pays for and its price before tax and commission.
bought AS (
    SELECT DISTINCT
        subscriber AS customer_id,
        subscriber || '-' || subscription_group AS subscription_id,
        plan,
        currency,
        COALESCE(TRIM(offer) = 'Free Trial', FALSE) AS is_trial,
        CAST(day AS DATE) AS started_at,
        CASE WHEN TRIM(offer) IN ('Free Trial', 'Pay Up Front') THEN offer_duration ELSE duration END AS term,
        CAST(proceeds AS DECIMAL(18, 4))
            / CASE WHEN proceeds_reason = 'Rate After One Year' THEN 0.85 ELSE 0.70 END AS net
    FROM purchases
    WHERE CAST(units AS BIGINT) > 0
),
timed AS (
    SELECT
        * EXCLUDE (term, net),
        CAST(SPLIT_PART(term, ' ', 1) AS INTEGER) AS billing_interval_count,
        RTRIM(LOWER(SPLIT_PART(term, ' ', 2)), 's') AS billing_interval,
        ROUND(net, CASE WHEN currency IN ('JPY', 'KRW', 'VND', 'CLP') THEN 0 ELSE 2 END) AS price
    FROM bought
),
followed AS (
    SELECT
        *,
        CAST(started_at + CASE billing_interval
            WHEN 'day' THEN TO_DAYS(billing_interval_count)
            WHEN 'week' THEN TO_DAYS(7 * billing_interval_count)
            WHEN 'month' THEN TO_MONTHS(billing_interval_count)
            WHEN 'year' THEN TO_MONTHS(12 * billing_interval_count)
        END AS DATE) AS over,
        LEAD(started_at) OVER (PARTITION BY subscription_id ORDER BY started_at, price, plan) AS following
    FROM timed
)
SELECT
    * EXCLUDE (is_trial, over, following),
    CASE WHEN is_trial THEN 'trialing' ELSE 'active' END AS status,
    CASE
        WHEN following IS NOT NULL THEN LEAST(over, following)
        WHEN over <= (SELECT MAX(started_at) FROM bought) THEN over
    END AS ended_at,
    CASE WHEN following <= over THEN 'switched' END AS end_reason
FROM followed
WHERE following IS NULL OR following > started_at
