/* memalign rounds its alignment up to a power of two; what has none above it is EINVAL. */
#include "check.h"

int main(void) {
    for (size_t alignment = 0; alignment < 5000; alignment += alignment < 130 ? 1 : 97) {
        size_t rounded = 1;
        while (rounded < alignment) rounded *= 2;
        for (int i = 0; i < SIZE_COUNT; i += 7) {
            char *block = memalign(alignment, SIZES[i]);
            CHECK(block && (uintptr_t)block % rounded == 0, "memalign(%zu, %zu) is %p", alignment, SIZES[i], (void *)block);
            memset(block, 1, SIZES[i]);
            free(block);
        }
    }
    errno = 0;
    CHECK(memalign(opaque_size(SIZE_MAX), 10) == NULL && errno == EINVAL, "memalign(SIZE_MAX, 10)");
    errno = 0;
    CHECK(memalign(opaque_size(SIZE_MAX / 2 + 2), 10) == NULL && errno == EINVAL, "an alignment above 2^63");
    return 0;
}
