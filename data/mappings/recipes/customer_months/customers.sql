SELECT
    customer_id,
    DATE_TRUNC('month', MIN(CAST(month AS DATE))) AS created_at,
    COALESCE(BOOL_OR(LOWER(CAST(test AS TEXT)) IN ('1', 'true', 'yes', 'y')), FALSE) AS is_test
FROM months
GROUP BY customer_id
