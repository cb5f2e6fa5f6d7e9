# The server runs on the allocator; what asks it does not. Both speak through a socket in this folder.
rm -f redis.sock
LD_PRELOAD="$BENCH_PRELOAD" redis-server --port 0 --unixsocket redis.sock --save "" --appendonly no >/dev/null &
until redis-cli -s redis.sock ping >/dev/null 2>&1; do sleep 0.01; done
redis-benchmark -s redis.sock -q -n 60000 -r 100000 -d 100 -P 16 -t set,get,lpush,lrange_100,hset,zadd >/dev/null || exit 1
redis-cli -s redis.sock shutdown nosave >/dev/null 2>&1
wait
