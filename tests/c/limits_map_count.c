/* The process has as many mappings as the system allows: nothing more can be mapped, and no mapping can be split. The
   allocator goes on with what it has, answers NULL and ENOMEM where that is not enough, and recovers. */
#include "check.h"
#include <sys/mman.h>

enum { PAGES = 140000 };

int main(void) {
    static void *blocks[1000];
    char *pages = mmap(NULL, (size_t)PAGES * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(pages != MAP_FAILED, "mmap");
    for (int i = 0; i < 1000; i++) blocks[i] = malloc(i * 997 % 300000);
    int split = 0;
    while (split < PAGES && mprotect(pages + (size_t)split * 4096, 4096, PROT_READ) == 0) split += 2;
    CHECK(split < PAGES, "the system has no limit of mappings below %d", PAGES);
    int failed = 0;
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 1000; i++) {
            size_t size = (i * 7919 + round * 104729) % 400000;
            free(blocks[i]);
            errno = 0;
            blocks[i] = malloc(size);
            if (blocks[i] == NULL) {
                CHECK(errno == ENOMEM, "malloc(%zu)", size);
                failed++;
                continue;
            }
            memset(blocks[i], i, size);
        }
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    malloc_trim(0);
    munmap(pages, (size_t)PAGES * 4096);
    for (int i = 0; i < 1000; i++) {
        blocks[i] = malloc(i * 1000);
        CHECK(blocks[i], "malloc(%d) after %d failures and the end of the shortage", i * 1000, failed);
    }
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    malloc_trim(0);
    CHECK(resident() < (size_t)32 << 20, "%zu MB are still resident", resident() >> 20);
    return 0;
}
