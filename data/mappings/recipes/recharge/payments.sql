-- A line a payment, at its price; and what was given back, by charge.
WITH
charge AS (
    SELECT DISTINCT
        id, customer_id, status, currency,
        CAST(COALESCE(processed_at, scheduled_at) AS TIMESTAMPTZ) AS attempted_at,
        CAST(refunds AS DECIMAL(18, 4)) AS refunds
    FROM charges
    WHERE status IN ('success', 'refunded', 'partially_refunded', 'error')
),
line AS (SELECT DISTINCT charge_id, place, subscription_id, quantity, price FROM lines)
SELECT
    c.id || '-' || l.place AS payment_id, c.customer_id, l.subscription_id, c.attempted_at, c.currency,
    CAST(l.price AS DECIMAL(18, 4)) * CAST(l.quantity AS BIGINT) AS amount,
    CASE WHEN l.subscription_id IS NULL THEN 'one_off' ELSE 'recurring' END AS kind,
    CASE WHEN c.status = 'error' THEN 'failed' ELSE 'paid' END AS status
FROM charge AS c JOIN line AS l ON l.charge_id = c.id
UNION ALL
SELECT id || ' refund', customer_id, NULL, attempted_at, currency, refunds, 'recurring', 'refunded'
FROM charge
WHERE refunds > 0
