/* Threads allocate blocks of random sizes at random alignments and leave them in places where other threads take them, look at their
   contents and free or resize them. */
#include "check.h"
#include <stdatomic.h>

enum { THREADS = 4, PLACES = 64, STEPS = 30000 };

struct block {
    unsigned size, align, seed;
    char bytes[];
};

static _Atomic(struct block *) places[PLACES];

static void take(struct block *block) {
    if (block == NULL) return;
    CHECK((uintptr_t)block % block->align == 0, "%u bytes at a multiple of %u", block->size, block->align);
    CHECK(filled(block->bytes, block->size, block->seed), "contents of %u bytes at a multiple of %u", block->size, block->align);
    if (block->seed % 5 == 0) {
        block = realloc(block, sizeof *block + block->size / 2);
        CHECK(block && filled(block->bytes, block->size / 2, block->seed), "contents of half of %u bytes", block->size);
    }
    free(block);
}

static void *work(void *number) {
    unsigned state = (unsigned)(uintptr_t)number * 7919 + 1;
    for (int step = 0; step < STEPS; step++) {
        unsigned align = 8u << next(&state) % 14, size = next(&state) % (16u << next(&state) % 11);
        struct block *block;
        if (step % 3 == 0)
            block = memalign(align, sizeof *block + size);
        else if (step % 3 == 1)
            CHECK(posix_memalign((void **)&block, align, sizeof *block + size) == 0, "posix_memalign");
        else
            block = aligned_alloc(align, sizeof *block + size);
        CHECK(block, "%u bytes at a multiple of %u", size, align);
        block->size = size;
        block->align = align;
        block->seed = next(&state);
        fill(block->bytes, size, block->seed);
        take(atomic_exchange(&places[next(&state) % PLACES], block));
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(uintptr_t)i);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    for (int i = 0; i < PLACES; i++) take(places[i]);
    return 0;
}
