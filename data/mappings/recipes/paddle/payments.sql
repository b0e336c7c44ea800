-- Attempts to pay, and what was given back. An id counts the attempts of a transaction.
WITH attempts AS (
    SELECT DISTINCT transaction, created, captured_at, status, CAST(amount AS BIGINT) AS amount FROM payment
    WHERE status IN ('captured', 'error', 'canceled')
)
SELECT transaction || ' ' || row_number() OVER (PARTITION BY transaction ORDER BY attempts.created, attempts.status) AS payment_id,
       customer AS customer_id, subscription AS subscription_id,
       CAST(coalesce(captured_at, attempts.created) AS TIMESTAMP) AS attempted_at, amount,
       upper(currency) AS currency,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE attempts.status WHEN 'captured' THEN 'paid' ELSE 'failed' END AS status
FROM attempts JOIN (SELECT DISTINCT id, customer, subscription, currency FROM transaction) AS sale ON sale.id = transaction
WHERE customer IS NOT NULL
UNION ALL
SELECT DISTINCT id, customer, subscription, CAST(created AS TIMESTAMP), CAST(amount AS BIGINT), upper(currency),
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END, 'refunded'
FROM adjustment WHERE action IN ('refund', 'chargeback') AND status = 'approved'
