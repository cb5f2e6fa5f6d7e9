/* A program takes the right to write to a page in the middle of a large block, so that the kernel sees several mappings there, which it
   does not move together. realloc gives the block another size all the same, its contents are what they were, and the page is in nobody's way later. */
#include "check.h"
#include <sys/mman.h>

enum { SIZE = 40 << 20, PAGE = 4096 };

static int holds(const char *block, size_t size) {
    for (size_t at = 0; at < size; at += PAGE)
        if (block[at] != (char)(at >> 12) || block[at + PAGE - 1] != 'e') return 0;
    return 1;
}

int main(void) {
    for (int way = 0; way < 3; way++) {
        char *block = malloc(SIZE);
        CHECK(block, "malloc");
        for (size_t at = 0; at < SIZE; at += PAGE) {
            block[at] = (char)(at >> 12);
            block[at + PAGE - 1] = 'e';
        }
        char *page = (char *)(((uintptr_t)block + SIZE / 2) & ~(uintptr_t)(PAGE - 1));
        CHECK(mprotect(page, PAGE, PROT_READ) == 0, "mprotect");
        /* Larger; smaller, so that the page is no longer a part of it; smaller, and it still is. */
        size_t size = way == 0 ? 2 * SIZE : way == 1 ? SIZE / 4 : SIZE / 4 * 3;
        char *other = realloc(block, size);
        CHECK(other && holds(other, size < SIZE ? size : SIZE), "contents after realloc to %zu bytes", size);
        memset(other, 1, SIZE / 4);
        /* The page is the program's to give back as it was. */
        if (other == block && size > SIZE / 2) CHECK(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
        free(other);
    }
    return 0;
}
