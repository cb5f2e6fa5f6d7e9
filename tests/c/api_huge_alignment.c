/* Alignments of 2 MiB, 1 GiB and up to the whole address space either succeed or give ENOMEM, and cost no memory. */
#include "check.h"

int main(void) {
    size_t before = resident();
    for (int shift = 21; shift < 63; shift++) {
        size_t alignment = (size_t)1 << shift;
        for (int i = 0; i < SIZE_COUNT; i += 9) {
            void *block = NULL;
            int error = posix_memalign(&block, alignment, SIZES[i]);
            CHECK(error == 0 || error == ENOMEM, "alignment 2^%d gives %d", shift, error);
            CHECK(error == 0 || shift > 30, "alignment 2^%d fails", shift);
            if (error) continue;
            CHECK((uintptr_t)block % alignment == 0, "%p is not aligned to 2^%d", block, shift);
            memset(block, 1, SIZES[i] < 100 ? SIZES[i] : 100);
            block = realloc(block, SIZES[i] + 100);
            CHECK(block, "realloc of a block aligned to 2^%d", shift);
            free(block);
            errno = 0;
            block = aligned_alloc(alignment, SIZES[i]);
            CHECK(block || errno == ENOMEM, "aligned_alloc of 2^%d", shift);
            free(block);
        }
    }
    malloc_trim(0);
    CHECK(resident() < before + (16 << 20), "%zu MB more are resident", (resident() - before) >> 20);
    return 0;
}
