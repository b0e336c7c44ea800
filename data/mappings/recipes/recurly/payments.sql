-- A transaction belongs to a subscription through the lines of its invoice.
WITH sold AS (SELECT invoice, min(subscription) AS subscription FROM line GROUP BY invoice)
SELECT DISTINCT id AS payment_id, account AS customer_id, subscription AS subscription_id,
       CAST(created AS TIMESTAMP) AS attempted_at, CAST(amount AS DECIMAL(18, 3)) AS amount,
       upper(currency) AS currency,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE WHEN status = 'success' AND type = 'refund' THEN 'refunded' WHEN status = 'success' THEN 'paid' ELSE 'failed' END
           AS status
FROM transaction LEFT JOIN sold USING (invoice)
WHERE type IN ('purchase', 'capture', 'refund') AND status IN ('success', 'declined')
AND NOT (type = 'refund' AND status <> 'success')
