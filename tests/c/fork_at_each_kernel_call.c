/* A process forks while another of its threads is in the allocator, in the middle of one of its calls of the kernel:
   for each call that the work makes. The work of that thread stays half done in the child. The child uses everything,
   in a thread of its own too, has a child that does the same, and ends; the parent's thread goes on and finds its
   blocks. Run without the scavenger. */
#include "calls.h"

static int left, stopped, may_go;
static __thread int is_worker;

static long stop(const struct call *call) {
    if (is_worker && left-- == 0) {
        __atomic_store_n(&stopped, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&may_go, __ATOMIC_ACQUIRE)) usleep(100);
    }
    return pass(call);
}

static void *in_thread(void *unused) {
    CHECK(use_everything() == 0, "an allocation is refused");
    return unused;
}

static void *worker(void *done) {
    is_worker = 1;
    in_thread(NULL);
    is_worker = 0;
    __atomic_store_n((int *)done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void use_as_child(void) {
    alarm(HANGS_AFTER);
    in_thread(NULL);
    join(start(in_thread, NULL));
    size_t before = resident();
    in_thread(NULL);
    CHECK(resident() < before + (4 << 20), "%zu KB are lost each time", (resident() - before) >> 10);
}

static void child(void) {
    use_as_child();
    pid_t next = fork();
    if (next == 0) {
        use_as_child();
        _exit(0);
    }
    reap(next);
    _exit(0);
}

int main(void) {
    watch_calls(MEMORY_AND_FILES, MEMORY, stop);
    in_thread(NULL);
    int forks = 0;
    for (int nth = 0;; nth++) {
        int done = 0;
        stopped = may_go = 0;
        left = nth;
        pthread_t thread = start(worker, &done);
        while (!__atomic_load_n(&stopped, __ATOMIC_ACQUIRE) && !__atomic_load_n(&done, __ATOMIC_ACQUIRE)) usleep(100);
        int last = !__atomic_load_n(&stopped, __ATOMIC_ACQUIRE);
        if (!last) {
            pid_t process = fork();
            if (process == 0) child();
            reap(process);
            forks++;
        }
        __atomic_store_n(&may_go, 1, __ATOMIC_RELEASE);
        join(thread);
        if (last) break;
    }
    CHECK(forks > 50, "the work makes only %d calls", forks);
    printf("%d forks\n", forks);
    return 0;
}
