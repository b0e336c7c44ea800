-- What each customer's movements of a month add up to,
WITH moved AS (
    SELECT
        customer,
        currency,
        CAST(DATE_TRUNC('month', CAST(CAST(date AS TIMESTAMPTZ) AS TIMESTAMP)) AS DATE) AS month,
        CAST(movement AS DECIMAL(18, 2)) AS amount
    FROM chartmogul_activities
),

-- and every month from the first movement to the last,
months AS (
    SELECT CAST(UNNEST(GENERATE_SERIES(MIN(month), MAX(month), INTERVAL 1 MONTH)) AS DATE) AS month FROM moved
)

-- in each of which all that came before is still paid.
SELECT moved.customer AS customer_id, moved.currency, months.month, SUM(moved.amount) AS amount
FROM moved
INNER JOIN months ON moved.month <= months.month
GROUP BY moved.customer, moved.currency, months.month
HAVING SUM(moved.amount) > 0
