-- A few hundred thousand rows, indices, joins, text, JSON, deletion and VACUUM.
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -20000;
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, amount INTEGER NOT NULL, note TEXT);

BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO customers SELECT i, 'customer ' || (i * 7919 % 20011), 'town ' || (i % 137) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO orders SELECT i, 1 + i * 31 % 20000, i * 104729 % 100003, CASE WHEN i % 3 = 0 THEN printf('%0*d', i % 200, i) END FROM n;
COMMIT;

CREATE INDEX orders_customer ON orders (customer, amount);
CREATE INDEX orders_note ON orders (note) WHERE note IS NOT NULL;
CREATE UNIQUE INDEX customers_name_town ON customers (name, town, id);
ANALYZE;

SELECT count(*), sum(amount), max(length(note)) FROM orders;
SELECT town, count(*) AS orders, sum(amount) AS total FROM orders JOIN customers ON customers.id = customer
GROUP BY town ORDER BY total DESC LIMIT 5;
SELECT a.name, b.name, count(*) FROM customers a JOIN customers b ON a.town = b.town AND a.id < b.id AND b.id < a.id + 400
GROUP BY a.town ORDER BY 3 DESC, 1 LIMIT 3;
SELECT customer, amount, sum(amount) OVER (PARTITION BY customer ORDER BY id) FROM orders WHERE customer < 4 ORDER BY id LIMIT 8;
SELECT length(group_concat(name, ', ')) FROM customers;
SELECT json_array_length(json_group_array(json_object('id', id, 'name', name))) FROM customers;
SELECT count(DISTINCT note || 'x') FROM orders;

CREATE TEMP TABLE sorted AS SELECT * FROM orders ORDER BY note DESC, amount, id;
SELECT id, amount FROM sorted LIMIT 3 OFFSET 1000;
UPDATE orders SET note = note || ' changed' WHERE id % 11 = 0;
DELETE FROM orders WHERE id % 2 = 0;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(length(note)) FROM orders;
PRAGMA journal_mode = DELETE;
