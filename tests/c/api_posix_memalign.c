/* posix_memalign returns its error and touches neither errno nor the pointer: EINVAL unless the alignment is a power of
   two and a multiple of sizeof(void *). On success errno stays, too. */
#include "check.h"

int main(void) {
    static const size_t WRONG[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 7, 3ul << 61};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        void *block = &block;
        errno = 77;
        CHECK(posix_memalign(&block, opaque_size(WRONG[i]), 100) == EINVAL, "alignment %zu", WRONG[i]);
        CHECK(block == (void *)&block && errno == 77, "alignment %zu leaves traces", WRONG[i]);
    }
    for (size_t alignment = sizeof(void *); alignment <= 1 << 26; alignment *= 2)
        for (int i = 0; i < SIZE_COUNT; i += 5) {
            void *block = NULL;
            errno = 77;
            CHECK(posix_memalign(&block, alignment, SIZES[i]) == 0 && errno == 77, "alignment %zu", alignment);
            CHECK((uintptr_t)block % alignment == 0, "%p is not aligned to %zu", block, alignment);
            memset(block, 1, SIZES[i]);
            free(block);
        }
    return 0;
}
