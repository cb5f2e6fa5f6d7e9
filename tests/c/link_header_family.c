/* A program linked with the library: the header's functions are there, its version is the library's, and both families
   work on one heap, the one that the statistics count. */
#include "check.h"
#include <hakmem.h>

static hak_stats_t stats(void) {
    hak_stats_t now;
    hak_stats_read(&now);
    return now;
}

static void use(char *block, size_t alignment) {
    CHECK(block && (uintptr_t)block % alignment == 0, "%p", (void *)block);
    CHECK(hak_malloc_usable_size(block) >= 100 && malloc_usable_size(block) >= 100, "usable size");
    memset(block, 1, 100);
    block = realloc(hak_realloc(block, 5000), 200);
    CHECK(block && block[99] == 1, "realloc");
    hak_free(hak_reallocarray(block, 100, 100));
}

int main(void) {
    CHECK(strcmp(hak_version(), HAKMEM_VERSION) == 0, "the library is %s, the header %s", hak_version(), HAKMEM_VERSION);
    char version[30];
    sprintf(version, "%d.%d.%d", HAKMEM_VERSION_MAJOR, HAKMEM_VERSION_MINOR, HAKMEM_VERSION_PATCH);
    CHECK(strcmp(version, HAKMEM_VERSION) == 0, "the header's numbers are %s", version);
    hak_stats_t before = stats();
    use(hak_malloc(100), 16);
    use(hak_calloc(10, 10), 16);
    use(hak_aligned_alloc(128, 100), 128);
    use(hak_memalign(256, 100), 256);
    use(hak_valloc(100), 4096);
    use(hak_pvalloc(100), 4096);
    use(malloc(100), 16);
    void *block = NULL;
    CHECK(hak_posix_memalign(&block, 512, 100) == 0, "hak_posix_memalign");
    use(block, 512);
    free(hak_malloc(10));
    hak_free_sized(hak_malloc(10), 10);
    hak_free_aligned_sized(hak_aligned_alloc(64, 64), 64, 64);
    hak_stats_t after = stats();
    CHECK(after.allocations - before.allocations >= 8 + 3, "%llu allocations", (unsigned long long)(after.allocations - before.allocations));
    CHECK(after.frees - before.frees == after.allocations - before.allocations, "not everything was freed");
    CHECK(after.live_bytes == before.live_bytes, "live bytes");
    block = malloc(100 << 20);
    memset(block, 1, 100 << 20);
    CHECK(stats().live_bytes >= after.live_bytes + (100 << 20), "100 MB do not show");
    free(block);
    hak_collect();
    CHECK(stats().mapped_bytes < stats().peak_mapped_bytes, "hak_collect gives nothing back");
    hak_stats_print(1, 0);
    hak_stats_print(1, 1);
    return 0;
}
