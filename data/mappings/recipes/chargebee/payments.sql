-- Payments and refunds, before tax as far as their invoices tell.
WITH invoices AS (
    SELECT DISTINCT id AS invoice,
           1 - coalesce(CAST(tax AS DOUBLE), 0) / nullif(CAST(total AS DOUBLE), 0) AS untaxed
    FROM invoice
)
SELECT DISTINCT id AS payment_id, customer AS customer_id, subscription AS subscription_id,
       CAST(date AS TIMESTAMP) AS attempted_at, upper(currency) AS currency,
       CAST(round(CAST(amount AS DOUBLE) * coalesce(untaxed, 1)) AS BIGINT) AS amount,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE WHEN status <> 'success' THEN 'failed' WHEN type = 'refund' THEN 'refunded' ELSE 'paid' END AS status
FROM transaction LEFT JOIN invoices USING (invoice)
WHERE customer IS NOT NULL
  AND (status = 'success' AND type IN ('payment', 'refund') OR status IN ('failure', 'timeout') AND type = 'payment')
