/* A number of objects times their size that does not fit: NULL and ENOMEM, not a block of what is left of it. */
#include "check.h"

int main(void) {
    static const size_t FACTORS[][2] = {{SIZE_MAX, 2},           {2, SIZE_MAX},         {SIZE_MAX / 2 + 1, 2},
                                        {(size_t)1 << 32, (size_t)1 << 32}, {(size_t)1 << 33, (size_t)1 << 31}, {SIZE_MAX / 16 + 2, 16},
                                        {16, SIZE_MAX / 16 + 2}, {SIZE_MAX, SIZE_MAX},  {0x5555555555555556, 3}};
    void *block = malloc(10);
    for (size_t i = 0; i < sizeof FACTORS / sizeof FACTORS[0]; i++) {
        size_t count = opaque_size(FACTORS[i][0]), size = opaque_size(FACTORS[i][1]);
        errno = 0;
        CHECK(calloc(count, size) == NULL && errno == ENOMEM, "calloc(%#zx, %#zx)", count, size);
        errno = 0;
        CHECK(reallocarray(NULL, count, size) == NULL && errno == ENOMEM, "reallocarray(NULL, %#zx, %#zx)", count, size);
        errno = 0;
        CHECK(reallocarray(block, count, size) == NULL && errno == ENOMEM, "reallocarray(%#zx, %#zx)", count, size);
    }
    free(block);
    return 0;
}
