/* Pages without a block in use go back, also from the middle of spans: by malloc_trim, and while the process idles.
   The blocks in use keep their contents; blocks that are allocated in the holes later do not overlap, and are zero
   where they must be. */
#include "check.h"

enum { BLOCKS = 200000, SIZE = 500, STAYS = 50 };

static unsigned char *blocks[BLOCKS];

int main(int argc, char **argv) {
    int idle = argc > 1 && !strcmp(argv[1], "idle");
    memset(blocks, 0, sizeof blocks);
    free(malloc(1));
    size_t before = resident();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        fill(blocks[i], SIZE, i);
    }
    size_t full = resident() - before;
    for (int i = 0; i < BLOCKS; i++) {
        if (i % STAYS == 0) continue;
        free(blocks[i]);
        blocks[i] = NULL;
    }
    /* One block in fifty lies on one page in six, sometimes on two. */
    if (idle) {
        WAIT_UNTIL(resident() - before <= full / 3, "%zu of %zu KB are left", (resident() - before) >> 10, full >> 10);
    } else {
        malloc_trim(0);
        CHECK(resident() - before <= full / 3, "%zu of %zu KB are left", (resident() - before) >> 10, full >> 10);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i]) continue;
        blocks[i] = i % 2 ? calloc(1, SIZE) : malloc(SIZE);
        for (int j = 0; i % 2 && j < SIZE; j++) CHECK(blocks[i][j] == 0, "byte %d of block %d", j, i);
        fill(blocks[i], SIZE, i);
    }
    CHECK(resident() - before <= full + full / 20, "%zu KB where it was %zu KB", (resident() - before) >> 10, full >> 10);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(filled(blocks[i], SIZE, i), "block %d changed", i);
        free(blocks[i]);
    }
    malloc_trim(0);
    CHECK(resident() < before + (4 << 20), "%zu KB are left", (resident() - before) >> 10);
    return 0;
}
