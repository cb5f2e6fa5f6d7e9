PRAGMA cache_size = 20000;
CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT, amount INTEGER, note BLOB);
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300000)
INSERT INTO entry SELECT n, 'name ' || (n * 7919 % 100003), n * 31 % 1009, zeroblob(n % 200) FROM number;
CREATE INDEX by_name ON entry (name);
SELECT amount, count(*), group_concat(substr(name, 1, 3)) FROM entry GROUP BY amount ORDER BY 2 DESC LIMIT 3;
SELECT count(*) FROM entry a JOIN entry b ON a.name = b.name AND a.id < b.id;
UPDATE entry SET note = note || name WHERE id % 3 = 0;
DELETE FROM entry WHERE id % 5 = 0;
SELECT count(*), sum(length(note)) FROM entry;
