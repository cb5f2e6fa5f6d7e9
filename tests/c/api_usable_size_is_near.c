/* A block is not much larger than what was asked for: an eighth above 128 bytes, or the rest of a page; with an alignment, what that
   takes besides. Nothing is 16 bytes at most. */
#include "check.h"

int main(void) {
    void *nothing[] = {malloc(0), calloc(0, 1000), calloc(1000, 0), memalign(16, 0)};
    for (int i = 0; i < 4; i++) {
        CHECK(nothing[i] && malloc_usable_size(nothing[i]) <= 16, "%zu bytes of nothing, %d", malloc_usable_size(nothing[i]), i);
        free(nothing[i]);
    }
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t size = SIZES[i], most = size <= 128 ? size + 16 : size + size / 8 + (size > 32768 ? 4096 : 16);
        void *block = malloc(size);
        CHECK(block && malloc_usable_size(block) <= most, "%zu bytes for %zu", malloc_usable_size(block), size);
        free(block);
        for (size_t align = 16; align <= 1 << 16; align *= 2) {
            /* The next multiple of the alignment has room, or, for what is smaller than that, the alignment. */
            size_t at_most = most + align;
            block = memalign(align, size);
            CHECK(block && malloc_usable_size(block) <= at_most, "%zu bytes for %zu at %zu", malloc_usable_size(block), size, align);
            free(block);
        }
    }
    return 0;
}
