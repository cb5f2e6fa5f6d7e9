/* Threads that allocate, free and hand over blocks of all sizes until they are told to stop: company for a fork. */
#ifndef BUSY_H
#define BUSY_H

#include "check.h"

enum { BUSY_SLOTS = 256 };
static void *busy_slots[BUSY_SLOTS];
static int busy_stop;

static void *busy(void *number) {
    unsigned state = (unsigned)(uintptr_t)number * 40503u + 1;
    for (unsigned i = 1; !__atomic_load_n(&busy_stop, __ATOMIC_RELAXED); i++) {
        if (i % 1024 == 0) usleep(1); /* leaves some of the machine to the children */
        state = state * 1664525 + 1013904223;
        size_t size = (state >> 4) % ((state >> 24) == 0 ? 300000 : (state >> 25) == 1 ? 40000 : 800);
        char *block = malloc(size);
        CHECK(block, "malloc(%zu)", size);
        if (size) block[0] = block[size - 1] = 1;
        free(__atomic_exchange_n(&busy_slots[(state >> 8) % BUSY_SLOTS], block, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static pthread_t busy_threads[8];

static inline void start_busy(int threads) {
    for (intptr_t i = 0; i < threads; i++) busy_threads[i] = start(busy, (void *)i);
}

static inline void stop_busy(int threads) {
    __atomic_store_n(&busy_stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < threads; i++) join(busy_threads[i]);
}

/* What a child does with the heap it got: new blocks of all sizes, the parent's blocks, more of both in a thread. */
__attribute__((unused)) static void *use_heap(void *unused) {
    for (int i = 0; i < SIZE_COUNT && SIZES[i] <= 100000; i += 3) {
        char *block = calloc(1, SIZES[i]);
        CHECK(block && all_zero(block, SIZES[i]), "calloc of %zu bytes in a child", SIZES[i]);
        fill(block, SIZES[i], i);
        block = realloc(block, SIZES[i] + 100);
        CHECK(block && filled(block, SIZES[i], i), "realloc from %zu bytes in a child", SIZES[i]);
        free(block);
    }
    for (int i = 0; i < BUSY_SLOTS; i += 16) free(__atomic_exchange_n(&busy_slots[i], NULL, __ATOMIC_ACQ_REL));
    return unused;
}

#endif
