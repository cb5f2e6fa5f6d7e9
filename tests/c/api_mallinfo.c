/* mallinfo2 and mallinfo count what the program allocates and frees, in blocks of all sizes and in all threads. */
#include "check.h"

enum { BLOCKS = 5000, SIZE = 2000, LARGE = 50 << 20 };
static void *blocks[BLOCKS];

static size_t held(void) {
    struct mallinfo2 info = mallinfo2();
    CHECK(info.arena + info.hblkhd >= info.uordblks, "more in use than there is");
    return info.uordblks + info.hblkhd;
}

static void *allocate(void *unused) {
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    return unused;
}

int main(void) {
    size_t before = held();
    join(start(allocate, NULL));
    size_t full = held();
    CHECK(full >= before + BLOCKS * SIZE, "10 MB more in use show as %zu", full - before);
    CHECK(full <= before + 2 * BLOCKS * SIZE, "10 MB more in use show as %zu", full - before);
    void *large = malloc(LARGE);
    size_t fuller = held();
    CHECK(fuller >= full + LARGE, "50 MB more show as %zu", fuller - full);
    struct mallinfo old = mallinfo();
    CHECK((unsigned)old.uordblks + (unsigned)old.hblkhd >= (unsigned)LARGE, "mallinfo says %d", old.uordblks);
    free(large);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    malloc_trim(0);
    CHECK(held() < before + (1 << 20), "%zu more in use after freeing everything", held() - before);
    return 0;
}
