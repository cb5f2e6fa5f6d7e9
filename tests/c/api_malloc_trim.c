/* malloc_trim gives back what is free, says so, and leaves what is in use alone. */
#include "check.h"

enum { BLOCKS = 200000, SIZE = 500 };

int main(void) {
    char **blocks = malloc(BLOCKS * sizeof *blocks);
    memset(blocks, 1, BLOCKS * sizeof *blocks);
    size_t before = resident();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], i, SIZE);
    }
    char *large = malloc(100 << 20);
    memset(large, 1, 100 << 20);
    free(large);
    for (int i = 0; i < BLOCKS; i++)
        if (i % 1000) free(blocks[i]);
    CHECK(malloc_trim(0) == 1, "there was something to give back");
    for (int i = 0; i < BLOCKS; i += 1000) {
        for (int j = 0; j < SIZE; j++) CHECK(blocks[i][j] == (char)i, "block %d after malloc_trim", i);
        free(blocks[i]);
    }
    malloc_trim(0);
    CHECK(resident() < before + (4 << 20), "%zu KB are still resident", (resident() - before) >> 10);
    CHECK(malloc_trim(0) == 0, "there is nothing left to give back");
    free(blocks);
    return 0;
}
