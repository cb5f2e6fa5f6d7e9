/* realloc of NULL allocates; realloc to 0 frees, returns NULL and keeps errno, whatever the block's size. */
#include "check.h"

int main(void) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *block = realloc(NULL, SIZES[i]);
        CHECK(block, "realloc(NULL, %zu)", SIZES[i]);
        memset(block, 1, SIZES[i]);
        errno = 77;
        CHECK(realloc(block, 0) == NULL && errno == 77, "realloc of %zu bytes to 0", SIZES[i]);
        block = reallocarray(malloc(SIZES[i]), 0, 8);
        CHECK(block == NULL && errno == 77, "reallocarray of %zu bytes to 0", SIZES[i]);
    }
    /* It really frees: this would be 100 GB. */
    for (int i = 0; i < 1000000; i++)
        if (realloc(malloc(100000), 0) != NULL) return 1;
    free(NULL);
    return 0;
}
