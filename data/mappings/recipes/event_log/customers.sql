SELECT
    customer_id,
    MIN(CAST(occurred_at AS TIMESTAMP)) AS created_at,
    COALESCE(BOOL_OR(LOWER(CAST(test AS TEXT)) IN ('1', 'true', 'yes')), FALSE) AS is_test
FROM events
GROUP BY customer_id
