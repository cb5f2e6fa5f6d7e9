/* Counts the pages that a program has to bring in by touching them while it grows from 100 to 120 MB, a block at a
   time, and prints their number; "unknown" where the kernel brings in nothing by request. */
#include "maps.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int main(void) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, 4096, MADV_POPULATE_WRITE) != 0) {
        puts("unknown");
        return 0;
    }
    int touched = 0;
    for (size_t at = 0; at < (size_t)120 << 20; at += 1024) {
        char *block = malloc(1024);
        CHECK(block, "malloc after %zu KB", at >> 10);
        if (at >= (size_t)100 << 20 && !is_resident(block)) touched++;
        memset(block, 1, 1024);
    }
    printf("%d\n", touched);
    return 0;
}
