/* A request for nothing gives a block of its own, by every entry, which can be freed and reallocated. */
#include "entries.h"

int main(void) {
    enum { EACH = 100 };
    static void *blocks[ENTRY_COUNT][EACH];
    for (int e = 0; e < ENTRY_COUNT; e++)
        for (int i = 0; i < EACH; i++) {
            blocks[e][i] = ENTRIES[e].allocate(0);
            CHECK(blocks[e][i], "%s", ENTRIES[e].name);
            for (int j = 0; j < i; j++) CHECK(blocks[e][j] != blocks[e][i], "%s gives a block twice", ENTRIES[e].name);
        }
    for (int e = 0; e < ENTRY_COUNT; e++)
        for (int i = 0; i < EACH; i++) {
            if (i % 2) blocks[e][i] = realloc(blocks[e][i], 50);
            CHECK(blocks[e][i], "%s, then realloc", ENTRIES[e].name);
            free(blocks[e][i]);
        }
    void *none = NULL;
    CHECK(posix_memalign(&none, 64, 0) == 0, "posix_memalign of nothing");
    free(none);
    CHECK((none = calloc(0, 10)) != NULL, "calloc(0, 10)");
    free(none);
    CHECK((none = calloc(10, 0)) != NULL, "calloc(10, 0)");
    free(none);
    return 0;
}
