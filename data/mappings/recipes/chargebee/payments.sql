SELECT DISTINCT id AS payment_id, customer AS customer_id, subscription AS subscription_id,
       CAST(date AS TIMESTAMP) AS attempted_at, CAST(amount AS BIGINT) AS amount, upper(currency) AS currency,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE WHEN status <> 'success' THEN 'failed' WHEN type = 'refund' THEN 'refunded' ELSE 'paid' END AS status
FROM transaction
WHERE type IN ('payment', 'refund') AND status IN ('success', 'failure', 'timeout') AND customer IS NOT NULL
  AND NOT (type = 'refund' AND status <> 'success')
