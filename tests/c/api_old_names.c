/* The C library's internal names for its functions, and those from before the standard, belong to the same heap: some
   programs call them. */
#include "check.h"
#include <dlfcn.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__libc_valloc(size_t size);
extern void *__libc_pvalloc(size_t size);

static void (*old_free)(void *);

/* Takes a block from an old name through today's functions. */
static void use(char *block, size_t size, size_t alignment) {
    CHECK(block && (uintptr_t)block % alignment == 0, "%p", (void *)block);
    CHECK(malloc_usable_size(block) >= size, "usable size");
    fill(block, size, 3);
    block = realloc(block, size * 2 + 1);
    CHECK(filled(block, size, 3), "realloc");
    block = __libc_realloc(block, size + 1);
    CHECK(filled(block, size, 3), "__libc_realloc");
    if (size % 3 == 0)
        free(block);
    else if (size % 3 == 1)
        __libc_free(block);
    else
        old_free(block);
}

int main(void) {
    old_free = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
    if (old_free == NULL) old_free = free; /* gone from the C library with version 2.26 */
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t size = SIZES[i];
        use(__libc_malloc(size), size, 8);
        char *zeroes = __libc_calloc(1, size);
        CHECK(all_zero(zeroes, size), "__libc_calloc");
        use(zeroes, size, 8);
        use(__libc_realloc(NULL, size), size, 8);
        use(__libc_memalign(512, size), size, 512);
        use(__libc_valloc(size), size, 4096);
        use(__libc_pvalloc(size), size, 4096);
        use(malloc(size), size, 8);
        void *block = NULL;
        int (*aligned)(void **, size_t, size_t) = (int (*)(void **, size_t, size_t))dlsym(RTLD_DEFAULT, "__posix_memalign");
        if (aligned == NULL) continue;
        CHECK(aligned(&block, 256, size) == 0, "__posix_memalign");
        use(block, size, 256);
    }
    old_free(NULL);
    return 0;
}
