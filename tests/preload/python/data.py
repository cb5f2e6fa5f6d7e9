"""JSON, dictionaries, text, compression and sqlite3, alone and in threads that hand objects to each other."""

import array
import collections
import hashlib
import io
import json
import pickle
import queue
import random
import re
import sqlite3
import sys
import threading
import zlib


def records(numbers, count):
    return [
        {"id": i, "name": "name %d" % numbers.randrange(10**6), "tags": ["t%d" % (i % 13)] * (i % 5), "x": i / 7, "deep": {"a": [None, True, i]}}
        for i in range(count)
    ]


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def json_round_trip(seed, count):
    text = json.dumps(records(random.Random(seed), count))
    again = json.dumps(json.loads(text), sort_keys=True, indent=1)
    return len(text), digest(again.encode())


def dictionaries():
    big = {i: str(i) for i in range(300_000)}
    big.update((("key", i), [i]) for i in range(100_000))
    for i in range(0, 300_000, 3):
        del big[i]
    words = collections.Counter(re.findall(r"\d\d", "".join(v for v in big.values() if isinstance(v, str))))
    return len(big), words.most_common(3), len({frozenset((i, i + 1)) for i in range(50_000)})


def buffers():
    out = io.BytesIO()
    for i in range(20_000):
        out.write(bytes([i & 255]) * (i % 300))
    data = out.getvalue()
    packed = zlib.compress(data, 6)
    numbers = array.array("q", range(400_000))
    numbers.extend(numbers)
    grown = bytearray()
    for i in range(3000):
        grown += data[i : i + i]
    return len(data), len(packed), zlib.decompress(packed) == data, sum(numbers), digest(bytes(grown))


def database():
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
    base.executemany("INSERT INTO t (name, data) VALUES (?, ?)", (("n%d" % (i % 997), bytes(i % 200)) for i in range(60_000)))
    base.execute("CREATE INDEX names ON t (name)")
    base.create_function("half", 1, lambda n: n // 2)
    rows = base.execute("SELECT name, sum(half(length(data))) FROM t GROUP BY name ORDER BY 2 DESC, 1 LIMIT 3").fetchall()
    copy = "\n".join(base.iterdump())
    base.close()
    return rows, len(copy)


def threads():
    """Producers make objects, consumers change and drop them; results do not depend on the order."""
    waiting, results, lock = queue.Queue(maxsize=64), collections.Counter(), threading.Lock()

    def produce(seed):
        for round in range(30):
            waiting.put(pickle.dumps(records(random.Random(seed * 100 + round), 100)))

    def consume():
        local = threading.local()
        local.kept = []
        while (item := waiting.get()) is not None:
            local.kept.append(pickle.loads(item))
            with lock:
                results["objects"] += len(local.kept[-1])
                results["bytes"] += len(item)
            del local.kept[:-3]

    producers = [threading.Thread(target=produce, args=(n,)) for n in range(4)]
    consumers = [threading.Thread(target=consume) for _ in range(3)]
    for thread in producers + consumers:
        thread.start()
    for thread in producers:
        thread.join()
    for _ in consumers:
        waiting.put(None)
    for thread in consumers:
        thread.join()

    pairs = []
    workers = [threading.Thread(target=lambda n=n: pairs.append(json_round_trip(n, 1500))) for n in range(6)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    return sorted(results.items()), sorted(pairs)


print("json", json_round_trip(1, 20_000))
print("dictionaries", dictionaries())
print("buffers", buffers())
print("database", database())
print("threads", threads())
sys.exit(6)
