-- A row a month and movement, of a column a movement; what is lost is less than nothing.
SELECT
    CAST(LEFT(CAST(month AS VARCHAR), 7) || '-01' AS DATE) AS month,
    kind,
    CASE WHEN kind IN ('contraction', 'churn') THEN -ABS(CAST(amount AS DECIMAL(18, 4))) ELSE CAST(amount AS DECIMAL(18, 4)) END AS amount
FROM (
    SELECT month, CAST(COLUMNS('^(new|reactivation|expansion|contraction|churn|balance)$') AS VARCHAR) FROM stripe_roll_forward
)
UNPIVOT (amount FOR kind IN (new, reactivation, expansion, contraction, churn, balance))
