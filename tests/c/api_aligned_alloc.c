/* aligned_alloc takes a size that is no multiple of the alignment, and no alignment that is not a power of two
   (EINVAL). */
#include "check.h"

int main(void) {
    for (size_t alignment = 1; alignment <= 1 << 26; alignment *= 2)
        for (int i = 0; i < SIZE_COUNT; i += 3) {
            char *block = aligned_alloc(alignment, SIZES[i]);
            CHECK(block && (uintptr_t)block % alignment == 0, "aligned_alloc(%zu, %zu) is %p", alignment, SIZES[i], (void *)block);
            CHECK(malloc_usable_size(block) >= SIZES[i], "usable size");
            memset(block, 1, SIZES[i]);
            free(block);
        }
    static const size_t WRONG[] = {0, 3, 5, 6, 7, 9, 10, 12, 24, 100, 4095, 4097, SIZE_MAX, (size_t)PTRDIFF_MAX};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        errno = 0;
        void *block = aligned_alloc(opaque_size(WRONG[i]), 100);
        CHECK(block == NULL && errno == EINVAL, "aligned_alloc(%zu, 100) is %p", WRONG[i], block);
    }
    return 0;
}
