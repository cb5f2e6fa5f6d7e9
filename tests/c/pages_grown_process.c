/* A process that has grown has huge pages, costs no more memory for it, and gives memory back all the same: what is
   left of a segment of which most was freed has small pages again. */
#include "maps.h"

enum { BLOCK = 1000, BLOCKS = 300000, SLAB = 64 << 10, SEGMENT = 2 << 20 };

int main(void) {
    static char *blocks[BLOCKS];
    memset(blocks, 1, sizeof blocks);
    size_t before = resident();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        CHECK(blocks[i], "malloc of block %d", i);
        memset(blocks[i], 1, BLOCK);
    }
    size_t full = resident() - before, huge = huge_kilobytes(NULL, NULL, NULL);
    CHECK(full < (size_t)BLOCKS * 1024 / 100 * 104, "%zu KB for %d blocks", full >> 10, BLOCKS);
    if (huge_pages_allowed()) CHECK(huge >= 100 << 10, "%zu KB of huge pages", huge);

    /* Of each segment one slab in four stays in use. */
    size_t kept = 0;
    char *sample = NULL;
    for (int i = 0; i < BLOCKS; i++) {
        if ((uintptr_t)blocks[i] / SLAB % 4 == 0) {
            kept += BLOCK;
            sample = blocks[i];
        } else {
            free(blocks[i]);
        }
    }
    CHECK(kept > (size_t)BLOCKS * BLOCK / 8 && kept < (size_t)BLOCKS * BLOCK / 2, "%zu KB are kept", kept >> 10);
    malloc_trim(0);
    size_t left = resident() - before;
    CHECK(left < kept / 8 * 9 + (4 << 20), "%zu KB are left for %zu KB kept", left >> 10, kept >> 10);
    huge = huge_kilobytes(NULL, NULL, NULL);
    CHECK(huge == 0, "%zu KB of huge pages", huge);
    int declined = 0;
    huge_kilobytes(sample, " nh", &declined);
    CHECK(declined || access("/sys/kernel/mm/transparent_hugepage", F_OK), "the holes would be filled again");

    /* Blocks of their own get huge pages too, unless they are asked for as zeros. */
    for (int i = 0; i < BLOCKS; i++)
        if ((uintptr_t)blocks[i] / SLAB % 4 == 0) free(blocks[i]);
    char *large = malloc((size_t)200 << 20), *table = calloc(200 << 20, 1);
    CHECK(large && table, "large blocks");
    before = resident();
    for (size_t at = 0; at < (size_t)200 << 20; at += 1 << 20) table[at] = 1;
    CHECK(resident() - before < 2 << 20, "a table is touched here and there: %zu KB", (resident() - before) >> 10);
    memset(large, 1, (size_t)200 << 20);
    huge = huge_kilobytes(large, NULL, NULL);
    if (huge_pages_allowed()) CHECK(huge >= 190 << 10, "%zu KB of huge pages in a block of 200 MB", huge);
    return 0;
}
