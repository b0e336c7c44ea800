SELECT DISTINCT id AS customer_id, to_timestamp(CAST(created AS BIGINT)) AS created_at, country,
       NOT coalesce(CAST(livemode AS BOOLEAN), true) AS is_test
FROM customer
