/* A wait for a lock may end early, by a signal or because the word changed in the meantime. Here every wait of the
   allocator ends early: argv[1] says with which error. The blocks of threads that use each other's heaps still do not
   overlap. */
#include "calls.h"

enum { THREADS = 4, OPERATIONS = 30000, SLOTS = 256 };
static unsigned char *slots[SLOTS];
static int running = THREADS;

static void *exchange(void *number) {
    unsigned state = (unsigned)(uintptr_t)number + 1;
    for (int i = 0; i < OPERATIONS; i++) {
        size_t size = 8 + next(&state) % (i % 50 ? 600 : 60000);
        unsigned char *mine = malloc(size);
        CHECK(mine, "malloc(%zu)", size);
        memcpy(mine, &size, sizeof size);
        fill(mine + sizeof size, size - sizeof size, (unsigned)size);
        unsigned char *theirs = __atomic_exchange_n(&slots[next(&state) % SLOTS], mine, __ATOMIC_ACQ_REL);
        if (!theirs) continue;
        memcpy(&size, theirs, sizeof size);
        CHECK(filled(theirs + sizeof size, size - sizeof size, (unsigned)size), "a block of %zu bytes", size);
        free(theirs);
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

int main(int argc, char **argv) {
    const long waits[] = {SYS_futex};
    pthread_t threads[THREADS];
    filter_calls(waits, 1, SECCOMP_RET_ERRNO | (argc > 1 && !strcmp(argv[1], "again") ? EAGAIN : EINTR));
    for (intptr_t i = 0; i < THREADS; i++) threads[i] = start(exchange, (void *)i);
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) malloc_trim(0);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    return 0;
}
