SELECT
    LOWER(customer) AS customer_id,
    MIN(CAST(bought_at AS TIMESTAMP)) AS created_at,
    COALESCE(BOOL_OR(LOWER(CAST(test AS TEXT)) IN ('1', 'true', 'yes')), FALSE) AS is_test
FROM purchases
GROUP BY LOWER(customer)
