-- Charges, and what was given back of them. A charge belongs to a subscription through its invoice.
WITH charges AS (
    SELECT DISTINCT charge.id, charge.customer, invoice.subscription,
           to_timestamp(CAST(charge.created AS BIGINT)) AS charged_at,
           CAST(charge.amount AS BIGINT) AS amount, upper(charge.currency) AS currency, charge.status
    FROM charge LEFT JOIN invoice ON invoice.id = charge.invoice
    WHERE charge.status IN ('succeeded', 'failed') AND charge.customer IS NOT NULL
)
SELECT id AS payment_id, customer AS customer_id, subscription AS subscription_id, charged_at AS attempted_at,
       amount,
       currency, CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
       CASE status WHEN 'succeeded' THEN 'paid' ELSE 'failed' END AS status
FROM charges
UNION ALL
SELECT DISTINCT refund.id, charges.customer, subscription, to_timestamp(CAST(refund.created AS BIGINT)),
       CAST(refund.amount AS BIGINT), charges.currency,
       CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END,
       'refunded'
FROM refund JOIN charges ON charges.id = refund.charge WHERE refund.status IS DISTINCT FROM 'failed'
