create table kept(a);
with recursive numbers(n) as (select 1 union all select n + 1 from numbers)
insert into kept select randomblob(30000) from numbers;
