"""multiprocessing in its three ways of starting a process, with threads alive in the parent while it forks."""

import concurrent.futures
import multiprocessing
import os
import threading
import time


def churn(seed):
    kept = {}
    for i in range(20_000):
        kept[(i * seed) % 3000] = ["x" * (i % 70)] * (i % 9)
    return seed, len(kept), sum(len(v) for v in kept.values())


def echo(incoming, outgoing):
    while (item := incoming.get()) is not None:
        outgoing.put([text.upper() for text in item])


def busy(stop):
    while not stop.is_set():
        churn(3)


def pool(way):
    context = multiprocessing.get_context(way)
    with context.Pool(3) as workers:
        print(way, "pool", workers.map(churn, range(1, 13), chunksize=2)[-1])
    there, back = context.Queue(), context.Queue()
    process = context.Process(target=echo, args=(there, back))
    process.start()
    total = 0
    for i in range(40):
        there.put(["text %d" % n for n in range(i * 20)])
        total += sum(map(len, back.get()))
    there.put(None)
    process.join()
    print(way, "queue", total, process.exitcode)


def fork_with_threads():
    """Forks while other threads allocate. The child starts threads of its own."""
    stop = threading.Event()
    others = [threading.Thread(target=busy, args=(stop,)) for _ in range(3)]
    for thread in others:
        thread.start()
    codes = []
    for round in range(25):
        child = os.fork()
        if child == 0:
            own = [threading.Thread(target=churn, args=(n,)) for n in range(1, 3)]
            for thread in own:
                thread.start()
            for thread in own:
                thread.join()
            os._exit(round + 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        time.sleep(0.002)
    stop.set()
    for thread in others:
        thread.join()
    print("fork with threads", codes)


if __name__ == "__main__":
    fork_with_threads()
    for way in ("fork", "spawn", "forkserver"):
        pool(way)
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print("executor", sum(n for _, n, _ in executor.map(churn, range(1, 9))))
