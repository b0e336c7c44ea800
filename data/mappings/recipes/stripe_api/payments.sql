-- Charges and what was given back of them, before tax. A charge belongs to a subscription through its invoice.
WITH invoices AS (
    SELECT DISTINCT id AS invoice, subscription,
           1 - coalesce(CAST(tax AS DOUBLE), 0) / nullif(CAST(total AS DOUBLE), 0) AS untaxed
    FROM invoice
),
charges AS (
    SELECT DISTINCT id, customer, subscription, to_timestamp(CAST(created AS BIGINT)) AS attempted_at,
           CAST(amount AS DOUBLE) AS amount, coalesce(untaxed, 1) AS untaxed, upper(currency) AS currency,
           CASE WHEN subscription IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
           CASE status WHEN 'succeeded' THEN 'paid' ELSE 'failed' END AS status
    FROM charge LEFT JOIN invoices USING (invoice)
    WHERE status IN ('succeeded', 'failed') AND customer IS NOT NULL
)
SELECT id AS payment_id, customer AS customer_id, subscription AS subscription_id, attempted_at,
       CAST(round(amount * untaxed) AS BIGINT) AS amount, currency, kind, status
FROM charges
UNION ALL
SELECT DISTINCT refund.id, customer, subscription, to_timestamp(CAST(refund.created AS BIGINT)),
       CAST(round(CAST(refund.amount AS DOUBLE) * untaxed) AS BIGINT), currency, kind, 'refunded'
FROM refund JOIN charges ON charges.id = refund.charge WHERE refund.status IS DISTINCT FROM 'failed'
