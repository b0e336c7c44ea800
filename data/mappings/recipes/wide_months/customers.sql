SELECT customer_id, MIN(CAST(month || '-01' AS DATE)) AS created_at
FROM (SELECT customer_id, CAST(COLUMNS('^\d{4}-\d\d$') AS TEXT) FROM wide)
    UNPIVOT (amount FOR month IN (COLUMNS('^\d{4}-\d\d$')))
WHERE TRY_CAST(amount AS DECIMAL(18, 4)) > 0
GROUP BY customer_id
