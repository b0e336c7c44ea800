-- Payments, and what was given back of them; those with an invoice are taken to be for subscriptions.
WITH payments AS (
    SELECT DISTINCT id, customer, CAST(created AS TIMESTAMP) AS created,
           CAST(refunded_at AS TIMESTAMP) AS refunded_at,
           CAST(amount AS DECIMAL(18, 3)) AS amount,
           CAST(coalesce(refunded, '0') AS DECIMAL(18, 3)) AS refunded,
           upper(currency) AS currency, status,
           CASE WHEN invoice IS NULL THEN 'one_off' ELSE 'recurring' END AS kind
    FROM payment WHERE customer IS NOT NULL
)
SELECT id AS payment_id, customer AS customer_id, created AS attempted_at, amount, currency, kind,
       CASE status WHEN 'Failed' THEN 'failed' ELSE 'paid' END AS status
FROM payments WHERE lower(status) IN ('paid', 'failed', 'refunded', 'partially refunded', 'partial refund')
UNION ALL
SELECT id || ' refund', customer, coalesce(refunded_at, created), refunded, currency, kind, 'refunded'
FROM payments WHERE refunded > 0
