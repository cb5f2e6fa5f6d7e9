/* A program that turns to blocks of other sizes, and keeps few of the old ones, grows by little: pages between the
   old blocks go back as new ones are needed, without a wait, and at most as many. The blocks in use keep their
   contents; blocks that are allocated in the holes later do not overlap, and are zero where they must be. */
#include "check.h"

enum { OLD = 200000, OLD_SIZE = 500, STAYS = 50, NEW = 40000, NEW_SIZE = 2000 };

static unsigned char *old[OLD], *new[NEW];

static void fill_old(void) {
    for (int i = 0; i < OLD; i++) {
        if (old[i]) continue;
        old[i] = i % 2 ? calloc(1, OLD_SIZE) : malloc(OLD_SIZE);
        for (int j = 0; i % 2 && j < OLD_SIZE; j++) CHECK(old[i][j] == 0, "byte %d of block %d", j, i);
        fill(old[i], OLD_SIZE, i);
    }
}

int main(void) {
    memset(old, 0, sizeof old);
    memset(new, 0, sizeof new);
    free(malloc(1));
    size_t before = resident();
    fill_old();
    size_t full = resident() - before;
    for (int i = 0; i < OLD; i++) {
        if (i % STAYS == 0) continue;
        free(old[i]);
        old[i] = NULL;
    }
    CHECK(resident() - before > full - full / 8, "nothing was needed yet, and %zu KB went back", full >> 10);
    for (int i = 0; i < NEW; i++) {
        new[i] = malloc(NEW_SIZE);
        fill(new[i], NEW_SIZE, i);
    }
    /* Four in five pages of the old blocks hold none: as many as the new ones need. */
    size_t both = resident() - before;
    CHECK(both < full + full / 4, "%zu KB became %zu KB", full >> 10, both >> 10);
    fill_old();
    for (int i = 0; i < OLD; i++) CHECK(filled(old[i], OLD_SIZE, i), "old block %d changed", i);
    for (int i = 0; i < NEW; i++) CHECK(filled(new[i], NEW_SIZE, i), "new block %d changed", i);
    for (int i = 0; i < OLD; i++) free(old[i]);
    for (int i = 0; i < NEW; i++) free(new[i]);
    malloc_trim(0);
    CHECK(resident() < before + (4 << 20), "%zu KB are left", (resident() - before) >> 10);
    return 0;
}
