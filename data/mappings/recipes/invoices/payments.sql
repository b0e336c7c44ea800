-- A line a payment, before tax.
SELECT DISTINCT
    invoice || '/' || line AS payment_id,
    customer_id,
    COALESCE(subscription_id, customer_id || ' ' || plan) AS subscription_id,
    CAST(COALESCE(paid, invoiced) AS DATE) AS attempted_at,
    ABS(CAST(net AS DECIMAL(18, 4))) AS amount,
    currency,
    CASE kind
        WHEN 'subscription' THEN 'recurring' WHEN 'trial' THEN 'recurring' WHEN 'usage' THEN 'usage' ELSE 'one_off'
    END AS kind,
    CASE WHEN document = 'credit note' THEN 'refunded' WHEN status = 'paid' THEN 'paid' ELSE 'failed' END AS status
FROM lines
-- What is not due yet has not been attempted.
WHERE status <> 'void' AND (
    status <> 'open'
    OR (document = 'invoice' AND CAST(due AS DATE) < (SELECT MAX(CAST(invoiced AS DATE)) FROM lines))
)
