-- Every customer, and those that the file of customers lacks, since the day of their first subscription.
SELECT id AS customer_id, min(CAST(created AS TIMESTAMP)) AS created_at, any_value(country) AS country
FROM (SELECT DISTINCT id, created, country FROM customer UNION ALL SELECT customer, created, NULL FROM subscription)
GROUP BY id
