/* A small process has no huge pages, and where the system gives them to all processes the allocator declines them:
   for small blocks, medium ones and large ones. */
#include "maps.h"

int main(void) {
    static const size_t SIZE[] = {100, 5000, 300000, 3 << 20, 9 << 20};
    for (int kind = 0; kind < 5; kind++) {
        char *block = NULL;
        for (size_t done = 0; done < (size_t)12 << 20; done += SIZE[kind]) {
            block = malloc(SIZE[kind]);
            CHECK(block, "malloc(%zu)", SIZE[kind]);
            memset(block, 1, SIZE[kind]);
        }
        int declined = 0;
        huge_kilobytes(block, " nh", &declined);
        CHECK(declined || access("/sys/kernel/mm/transparent_hugepage", F_OK), "blocks of %zu", SIZE[kind]);
    }
    size_t huge = huge_kilobytes(NULL, NULL, NULL);
    CHECK(huge == 0, "%zu KB of huge pages", huge);
    return 0;
}
