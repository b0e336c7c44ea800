-- Transactions, before tax. One belongs to a subscription through the lines of its invoice.
WITH sold AS (SELECT invoice, min(subscription) AS subscription FROM line GROUP BY invoice),
invoices AS (
    SELECT id AS invoice, 1 - coalesce(CAST(max_by(tax, updated) AS DOUBLE), 0)
                              / nullif(CAST(max_by(total, updated) AS DOUBLE), 0) AS untaxed
    FROM invoice GROUP BY id
)
SELECT DISTINCT id AS payment_id, account AS customer_id, subscription AS subscription_id,
       CAST(created AS TIMESTAMP) AS attempted_at, upper(currency) AS currency,
       round(CAST(amount AS DOUBLE) * coalesce(untaxed, 1),
             CASE WHEN upper(currency) IN ('JPY', 'KRW', 'CLP', 'VND', 'ISK') THEN 0 ELSE 2 END) AS amount,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE WHEN status <> 'success' THEN 'failed' WHEN type = 'refund' THEN 'refunded' ELSE 'paid' END AS status
FROM transaction LEFT JOIN sold USING (invoice) LEFT JOIN invoices USING (invoice)
WHERE status = 'success' AND type IN ('purchase', 'capture', 'refund')
   OR status = 'declined' AND type IN ('purchase', 'capture')
