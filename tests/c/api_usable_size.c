/* All of the usable size may be written, without touching a neighbour, and survives realloc. NULL has none. */
#include "check.h"

int main(void) {
    CHECK(malloc_usable_size(NULL) == 0, "NULL");
    for (int i = 0; i < SIZE_COUNT; i++) {
        enum { SIDE_BY_SIDE = 6 };
        char *blocks[SIDE_BY_SIDE];
        size_t usable[SIDE_BY_SIDE];
        for (int b = 0; b < SIDE_BY_SIDE; b++) {
            blocks[b] = b == 5 ? aligned_alloc(4096, SIZES[i]) : b == 4 ? realloc(malloc(7), SIZES[i] + 1) : malloc(SIZES[i]);
            usable[b] = malloc_usable_size(blocks[b]);
            CHECK(usable[b] >= SIZES[i], "%zu of %zu bytes", usable[b], SIZES[i]);
            CHECK(usable[b] <= SIZES[i] * 2 + (1 << 16), "%zu for %zu bytes", usable[b], SIZES[i]);
            fill(blocks[b], usable[b], b);
        }
        for (int b = 0; b < SIDE_BY_SIDE; b++) {
            CHECK(malloc_usable_size(blocks[b]) == usable[b], "the usable size changes");
            CHECK(filled(blocks[b], usable[b], b), "block %d of %zu bytes was overwritten", b, SIZES[i]);
        }
        for (int b = 0; b < SIDE_BY_SIDE; b++) {
            blocks[b] = realloc(blocks[b], usable[b] + 1000);
            CHECK(filled(blocks[b], usable[b], b), "realloc does not keep all of the usable size %zu", usable[b]);
            free(blocks[b]);
        }
    }
    return 0;
}
