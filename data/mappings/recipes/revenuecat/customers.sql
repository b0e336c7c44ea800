SELECT
    customer_id,
    MIN(LEAST(CAST(first_seen AS TIMESTAMP), CAST(started_at AS TIMESTAMP))) AS created_at,
    MIN(country) AS country,
    BOOL_AND(LOWER(CAST(is_sandbox AS TEXT)) = 'true') AS is_test
FROM transactions
GROUP BY customer_id
