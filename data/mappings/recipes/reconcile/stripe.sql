-- A row a subscriber and month, of a column a month.
SELECT
    "Customer ID" AS customer_id,
    Currency AS currency,
    CAST(month || '-01' AS DATE) AS month,
    amount
FROM (SELECT "Customer ID", Currency, CAST(COLUMNS('^\d{4}-\d{2}$') AS VARCHAR) FROM stripe_mrr)
UNPIVOT (amount FOR month IN (COLUMNS('^\d{4}-\d{2}$')))
