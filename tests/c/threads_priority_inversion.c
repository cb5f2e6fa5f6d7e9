/* On one CPU, a thread that must not be preempted waits for a lock whose holder cannot run: it has to sleep, since a
   thread that spins never ends. The holder is the main thread, which looks through the others' heaps all the time and
   is interrupted in the middle of that. Needs the right to set real-time priorities; without it the threads run at
   equal priority. */
#include "check.h"
#include <sched.h>

enum { THREADS = 6, OPERATIONS = 60000 };
static _Atomic(void *) mailbox[64];
static int running = THREADS;

static void *exchange(void *number) {
    unsigned state = (unsigned)(uintptr_t)number * 2654435761u + 1;
    for (int i = 0; i < OPERATIONS; i++) {
        state = state * 1664525 + 1013904223;
        size_t size = state % 100 == 0 ? 300000 : (state >> 8) % 3000;
        void *block = malloc(size);
        CHECK(block, "malloc(%zu)", size);
        free(__atomic_exchange_n((void **)&mailbox[(state >> 20) % 64], block, __ATOMIC_ACQ_REL));
        if (i % 64 == 0) usleep(1); /* lets the lower priorities in, in the middle of what they do */
    }
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

int main(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) {
        pthread_attr_t attributes;
        struct sched_param priority = {.sched_priority = (int)i + 1};
        pthread_attr_init(&attributes);
        pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attributes, i % 2 ? SCHED_FIFO : SCHED_OTHER);
        if (i % 2) pthread_attr_setschedparam(&attributes, &priority);
        int error = pthread_create(&threads[i], &attributes, exchange, (void *)i);
        if (error == EPERM) threads[i] = start(exchange, (void *)i);
        CHECK(error == 0 || error == EPERM, "pthread_create gives %d", error);
    }
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) malloc_trim(0);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    for (int i = 0; i < 64; i++) free(mailbox[i]);
    return 0;
}
