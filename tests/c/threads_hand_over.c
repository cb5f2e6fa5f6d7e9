/* Every block is freed or reallocated by another thread than the one that made it, and holds what was written into it
   until then. */
#include "check.h"

enum { THREADS = 4, OPERATIONS = 200000, SLOTS = 1024 };
struct block {
    size_t size;
    unsigned seed;
    unsigned char bytes[];
};
static struct block *slots[SLOTS];

static void *exchange(void *number) {
    unsigned state = (unsigned)(uintptr_t)number + 1;
    for (int i = 0; i < OPERATIONS; i++) {
        state = state * 1664525 + 1013904223;
        size_t size = (state >> 4) % ((state >> 28) == 0 ? 40000 : 600);
        struct block *mine = malloc(sizeof *mine + size);
        CHECK(mine, "malloc");
        mine->size = size;
        mine->seed = state;
        fill(mine->bytes, size, state);
        struct block *theirs = __atomic_exchange_n(&slots[(state >> 8) % SLOTS], mine, __ATOMIC_ACQ_REL);
        if (theirs == NULL) continue;
        CHECK(filled(theirs->bytes, theirs->size, theirs->seed), "block of %zu bytes", theirs->size);
        if (state & 1) {
            theirs = realloc(theirs, sizeof *theirs + theirs->size / 2);
            CHECK(filled(theirs->bytes, theirs->size / 2, theirs->seed), "block after realloc");
        }
        free(theirs);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++) threads[i] = start(exchange, (void *)i);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    return 0;
}
