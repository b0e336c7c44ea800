-- Attempts to pay and what was given back, before tax; Paddle's fee is not taken off. An id counts a transaction's attempts.
WITH sales AS (
    SELECT DISTINCT id AS transaction, customer, subscription, upper(currency) AS currency,
           CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
           coalesce(1 - CAST(tax AS DOUBLE) / nullif(CAST(total AS DOUBLE), 0), 1) AS untaxed
    FROM transaction WHERE customer IS NOT NULL
),
attempts AS (
    SELECT DISTINCT transaction, status, CAST(amount AS DOUBLE) AS amount,
           coalesce(CAST(captured_at AS TIMESTAMP), CAST(created AS TIMESTAMP)) AS attempted_at
    FROM payment WHERE status IN ('captured', 'error', 'canceled')
)
SELECT transaction || ' ' || row_number() OVER (PARTITION BY transaction ORDER BY attempted_at, status) AS payment_id,
       customer AS customer_id, subscription AS subscription_id, attempted_at,
       CAST(round(amount * untaxed) AS BIGINT) AS amount, currency, kind,
       CASE status WHEN 'captured' THEN 'paid' ELSE 'failed' END AS status
FROM attempts JOIN sales USING (transaction)
UNION ALL
SELECT DISTINCT adjustment.id, sales.customer, sales.subscription, CAST(created AS TIMESTAMP),
       CAST(round(CAST(amount AS DOUBLE) * untaxed) AS BIGINT), sales.currency, kind, 'refunded'
FROM adjustment JOIN sales USING (transaction) WHERE action IN ('refund', 'chargeback') AND status = 'approved'
