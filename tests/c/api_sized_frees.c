/* free_sized takes any size from what was asked for to the usable size, free_aligned_sized the size and alignment that
   were asked for; both take NULL. A wrong size, which this program passes if it has an argument, breaks nothing. */
#include "check.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
    (void)argv;
    /* C23; not yet in every C library. */
    void (*free_sized)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned_sized)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(free_sized && free_aligned_sized, "no sized frees");
    free_sized(NULL, 10);
    free_aligned_sized(NULL, 64, 10);
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t size = SIZES[i];
        char *keeper = malloc(size);
        fill(keeper, size, i);
        for (int round = 0; round < 20; round++) {
            void *block = malloc(size);
            size_t usable = malloc_usable_size(block);
            free_sized(block, round % 3 == 0 ? size : round % 3 == 1 ? usable : (size + usable) / 2);
            block = calloc(1, size);
            CHECK(all_zero(block, size), "a block of %zu bytes", size);
            free_sized(block, argc == 1 ? size : round % 2 ? 0 : size * 5 + 100);
            for (size_t alignment = 16; alignment <= 1 << 16; alignment *= 16)
                free_aligned_sized(aligned_alloc(alignment, size), alignment, size);
            if (argc > 1) free_aligned_sized(aligned_alloc(64, size), 1 << 20, size + 1000);
        }
        CHECK(filled(keeper, size, i), "a neighbour of %zu bytes", size);
        free(keeper);
    }
    return 0;
}
