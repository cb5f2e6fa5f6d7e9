/* Threads come and go in rounds; blocks of all sizes outlive the threads that made them, are moved and freed by
   others rounds later, and keep their contents. When all is freed, memory goes back. */
#include "check.h"

enum { ROUNDS = 12, THREADS = 6, OPERATIONS = 6000, SLOTS = 500 };
struct block {
    size_t size;
    unsigned char bytes[];
};
static struct block *slots[SLOTS];

static size_t some_size(unsigned *state) {
    unsigned kind = next(state) % 1000;
    if (kind == 0) return next(state) % 1500000;
    if (kind < 20) return next(state) % 60000;
    /* Powers of two and their neighbours are what programs ask for most. */
    return kind % 2 ? next(state) % 500 : ((size_t)8 << next(state) % 9) + next(state) % 3 - 1;
}

static void check(const struct block *block) {
    CHECK(filled(block->bytes, block->size, (unsigned)block->size), "a block of %zu bytes", block->size);
}

static void *work(void *number) {
    unsigned state = (unsigned)(uintptr_t)number * 7919 + 1;
    for (int i = 0; i < OPERATIONS; i++) {
        size_t size = some_size(&state);
        struct block *mine = i % 3 ? malloc(sizeof *mine + size) : calloc(1, sizeof *mine + size);
        CHECK(mine, "%zu bytes", size);
        if (i % 3 == 0) CHECK(all_zero(mine->bytes, size), "calloc of %zu bytes", size);
        mine->size = size;
        fill(mine->bytes, size, (unsigned)size);
        struct block *theirs = __atomic_exchange_n(&slots[next(&state) % SLOTS], mine, __ATOMIC_ACQ_REL);
        if (!theirs) continue;
        check(theirs);
        if (i % 4 == 0) {
            size_t less = theirs->size / 2;
            theirs = realloc(theirs, sizeof *theirs + less);
            CHECK(theirs && filled(theirs->bytes, less, (unsigned)theirs->size), "%zu bytes, shrunk", theirs->size);
        }
        free(theirs);
    }
    return NULL;
}

int main(void) {
    free(malloc(1));
    size_t before = resident();
    for (intptr_t round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        for (intptr_t i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(round * THREADS + i));
        for (int i = 0; i < THREADS; i++) join(threads[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (slots[i]) check(slots[i]);
        free(slots[i]);
    }
    malloc_trim(0);
    CHECK(resident() < before + (8 << 20), "%zu KB are left", (resident() - before) >> 10);
    return 0;
}
