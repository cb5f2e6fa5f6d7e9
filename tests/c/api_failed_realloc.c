/* A realloc that fails leaves the block as it was: contents, usable size, and the duty to free it. */
#include "check.h"

static void fails(char *block, size_t size, void *result) {
    CHECK(result == NULL && errno == ENOMEM, "a realloc of %zu bytes that cannot succeed gives %p", size, result);
    CHECK(filled(block, size, 9) && malloc_usable_size(block) >= size, "block of %zu bytes", size);
}

int main(void) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *block = malloc(SIZES[i]);
        fill(block, SIZES[i], 9);
        errno = 0;
        fails(block, SIZES[i], realloc(block, opaque_size(PTRDIFF_MAX)));
        errno = 0;
        fails(block, SIZES[i], realloc(block, opaque_size(SIZE_MAX)));
        errno = 0;
        fails(block, SIZES[i], realloc(block, opaque_size(SIZE_MAX - 4096)));
        errno = 0;
        fails(block, SIZES[i], realloc(block, opaque_size((size_t)1 << 50)));
        errno = 0;
        fails(block, SIZES[i], reallocarray(block, opaque_size(SIZE_MAX / 2), 3));
        free(block);
    }
    return 0;
}
