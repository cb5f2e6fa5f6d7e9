/* Impossible sizes: NULL with ENOMEM from every entry, whatever is added to them or rounded up inside; afterwards
   the heap works as before. */
#include "entries.h"

int main(void) {
    static const size_t IMPOSSIBLE[] = {
        ((size_t)1 << 47) - 4096, (size_t)1 << 47, (size_t)1 << 48, (size_t)1 << 55, (size_t)1 << 62,
        (size_t)PTRDIFF_MAX - 65536, (size_t)PTRDIFF_MAX - 4096, (size_t)PTRDIFF_MAX - 16, (size_t)PTRDIFF_MAX - 1, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX + 4096,
        (size_t)PTRDIFF_MAX + (1 << 21), SIZE_MAX - (1 << 21), SIZE_MAX - 65536, SIZE_MAX - 8192, SIZE_MAX - 4096, SIZE_MAX - 4095,
        SIZE_MAX - 4094, SIZE_MAX - 64, SIZE_MAX - 32, SIZE_MAX - 16, SIZE_MAX - 15, SIZE_MAX - 8, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof IMPOSSIBLE / sizeof IMPOSSIBLE[0]; i++) {
        size_t size = opaque_size(IMPOSSIBLE[i]);
        for (int e = 0; e < ENTRY_COUNT; e++) {
            errno = 0;
            void *block = ENTRIES[e].allocate(size);
            CHECK(block == NULL, "%s of %#zx gives %p", ENTRIES[e].name, size, block);
            CHECK(errno == ENOMEM, "%s of %#zx: errno", ENTRIES[e].name, size);
        }
        for (size_t alignment = 8; alignment < SIZE_MAX / 4; alignment <<= 4) {
            void *block = &block;
            errno = 77;
            CHECK(posix_memalign(&block, alignment, size) == ENOMEM, "posix_memalign(%#zx, %#zx)", alignment, size);
            CHECK(block == (void *)&block && errno == 77, "posix_memalign(%#zx, %#zx) leaves traces", alignment, size);
            CHECK(memalign(alignment, size) == NULL && errno == ENOMEM, "memalign(%#zx, %#zx)", alignment, size);
        }
        free(malloc(i));
    }
    return 0;
}
