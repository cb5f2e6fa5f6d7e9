/* valloc gives the start of a page; pvalloc does too, and whole pages. */
#include "check.h"

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *block = valloc(SIZES[i]);
        CHECK(block && (uintptr_t)block % page == 0, "valloc(%zu) is %p", SIZES[i], (void *)block);
        memset(block, 1, SIZES[i]);
        free(block);
        size_t whole = (SIZES[i] + page - 1) / page * page;
        block = pvalloc(SIZES[i]);
        CHECK(block && (uintptr_t)block % page == 0, "pvalloc(%zu) is %p", SIZES[i], (void *)block);
        CHECK(malloc_usable_size(block) >= whole, "pvalloc(%zu) has %zu bytes", SIZES[i], malloc_usable_size(block));
        memset(block, 1, whole);
        free(block);
    }
    return 0;
}
