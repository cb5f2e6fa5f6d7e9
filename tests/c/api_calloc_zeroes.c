/* calloc gives zeros over the whole usable size, also where the memory was used before: by blocks of the same size, of
   other sizes, of another thread, and by mappings. */
#include "check.h"

static void dirty(size_t size) {
    enum { BLOCKS = 8 };
    char *blocks[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        blocks[b] = b % 2 ? aligned_alloc(1024, size) : malloc(size);
        CHECK(blocks[b], "malloc(%zu)", size);
        memset(blocks[b], 0xdd, malloc_usable_size(blocks[b]));
    }
    for (int b = 0; b < BLOCKS; b++) free(blocks[b]);
}

static void *dirty_all(void *unused) {
    for (int i = 0; i < SIZE_COUNT; i++) dirty(SIZES[i]);
    return unused;
}

static void check(size_t size) {
    enum { BLOCKS = 10 };
    char *blocks[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        blocks[b] = b % 2 ? calloc(size, 1) : calloc(1, size);
        CHECK(blocks[b], "calloc of %zu", size);
        CHECK(all_zero(blocks[b], malloc_usable_size(blocks[b])), "calloc of %zu, block %d of 10", size, b);
        memset(blocks[b], 0xcc, malloc_usable_size(blocks[b]));
    }
    for (int b = 0; b < BLOCKS; b++) free(blocks[b]);
}

int main(void) {
    for (int i = 0; i < SIZE_COUNT; i++) check(SIZES[i]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SIZE_COUNT; i++) {
            dirty(SIZES[(i * 7 + round) % SIZE_COUNT]);
            check(SIZES[i]);
        }
        join(start(dirty_all, NULL));
        if (round == 1) malloc_trim(0);
        for (int i = SIZE_COUNT; i-- > 0;) check(SIZES[i]);
    }
    return 0;
}
