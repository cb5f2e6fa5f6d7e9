/* errno stays as it was when a call succeeds, and always in free, whatever it does inside. */
#include "entries.h"

enum { LIVE = 200 };

int main(void) {
    static void *blocks[LIVE];
    errno = 77;
    for (int e = 0; e < ENTRY_COUNT; e++)
        for (int i = 0; i < SIZE_COUNT; i++)
            for (int j = 0; j < (SIZES[i] < 100000 ? LIVE : 3); j++) {
                free(blocks[j]);
                CHECK(errno == 77, "free before %s of %zu", ENTRIES[e].name, SIZES[i]);
                blocks[j] = ENTRIES[e].allocate(SIZES[i]);
                CHECK(blocks[j] && errno == 77, "%s of %zu", ENTRIES[e].name, SIZES[i]);
                if (j % 3) continue;
                blocks[j] = realloc(blocks[j], SIZES[i] + 5000);
                CHECK(blocks[j] && errno == 77, "realloc from %zu", SIZES[i]);
                CHECK(malloc_usable_size(blocks[j]) >= SIZES[i] + 5000 && errno == 77, "malloc_usable_size");
            }
    for (int j = 0; j < LIVE; j++) free(blocks[j]);
    void *gigabyte = memalign(1 << 30, 100);
    CHECK(gigabyte && errno == 77, "memalign of 1 GiB");
    free(gigabyte);
    malloc_trim(0);
    CHECK(errno == 77, "malloc_trim");
    return 0;
}
