/* Each function is some thread's first call of the allocator: none may rely on another having been called before. */
#include "check.h"

static void *shared[3];

static void *(*const CALLS[])(void *);

static void *by_malloc(void *unused) { return (void)unused, malloc(20); }
static void *by_calloc(void *unused) { return (void)unused, calloc(2, 20); }
static void *by_realloc(void *unused) { return (void)unused, realloc(NULL, 20); }
static void *by_realloc_of_another(void *unused) { return (void)unused, shared[0] = realloc(shared[0], 9000); }
static void *by_reallocarray(void *unused) { return (void)unused, reallocarray(NULL, 3, 20); }
static void *by_aligned_alloc(void *unused) { return (void)unused, aligned_alloc(64, 128); }
static void *by_memalign(void *unused) { return (void)unused, memalign(4096, 20); }
static void *by_valloc(void *unused) { return (void)unused, valloc(20); }
static void *by_pvalloc(void *unused) { return (void)unused, pvalloc(20); }
static void *by_large_malloc(void *unused) { return (void)unused, malloc(50 << 20); }
static void *by_posix_memalign(void *unused) {
    void *block = NULL;
    CHECK(posix_memalign(&block, 256, 20) == 0, "posix_memalign");
    return (void)unused, block;
}
static void *by_free_of_another(void *unused) {
    free(shared[1]);
    return (void)unused, malloc(1);
}
static void *by_usable_size(void *unused) {
    CHECK(malloc_usable_size(shared[2]) >= 77, "malloc_usable_size");
    return (void)unused, malloc(1);
}
static void *by_free_of_null(void *unused) {
    free(NULL);
    return (void)unused, malloc(1);
}
static void *by_trim(void *unused) {
    malloc_trim(0);
    return (void)unused, malloc(1);
}
static void *by_mallinfo(void *unused) {
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks > 0, "mallinfo2");
    return (void)unused, malloc(1);
}
static void *by_failure(void *unused) {
    CHECK(malloc(opaque_size(PTRDIFF_MAX)) == NULL, "half the address space");
    return (void)unused, malloc(1);
}

static void *(*const CALLS[])(void *) = {
    by_malloc,       by_calloc,          by_realloc,     by_realloc_of_another, by_reallocarray, by_aligned_alloc,
    by_memalign,     by_valloc,          by_pvalloc,     by_large_malloc,       by_failure,      by_posix_memalign,
    by_usable_size,  by_free_of_another, by_free_of_null, by_trim,              by_mallinfo};

int main(void) {
    for (int i = 0; i < 3; i++) shared[i] = malloc(77);
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        char *block = join(start(CALLS[i], NULL));
        CHECK(block, "call %zu gave no block", i);
        *block = 1;
        if (block != shared[0]) free(block);
    }
    CHECK(malloc_usable_size(shared[0]) >= 9000, "block grown by another thread");
    free(shared[0]);
    free(shared[2]);
    return 0;
}
