"""Takes memory until there is none, frees it all, and goes on. With an argument it first says that it is ready, and waits to be let go."""

import os
import sys
import time

if len(sys.argv) > 1:
    open("ready", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
kept = []
try:
    while True:
        kept.append([bytearray(size) for size in (40, 700, 9000, 120000, 3000000)])
except MemoryError:
    del kept
    again = [bytearray(100) for _ in range(1000)]
    print("MemoryError, and on it goes with", len(again), "new ones")
