"""Drives the extension module built from extension.c, from one thread and from several."""

import sys
import threading

sys.path.insert(0, ".")
import extension

rope = extension.Rope()
for i in range(20_000):
    length = rope.append("piece %d " % i)
print("rope", length, len(rope.text()), rope.text()[1000:1020])

ropes = [extension.Rope() for _ in range(50_000)]
for i, short in enumerate(ropes):
    short.append("é" * (i % 40))
print("ropes", sum(len(short.text()) for short in ropes))
del ropes[::2]

sums = []
threads = [threading.Thread(target=lambda: sums.append(extension.hand_over())) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("handed over", sums)
print("allocators", extension.python_allocators())
