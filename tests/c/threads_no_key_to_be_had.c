/* The C library has no key left, so the allocator is not told when a thread ends. Threads that start and end still
   work and hand their blocks on; each leaves its caches behind, and no more. Linked so that the allocator finds this
   program's pthread_key_create. */
#include "check.h"

enum { THREADS = 1000, BLOCKS = 200, KEPT_KB_PER_THREAD = 256 };
static int asked;

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
    (void)key, (void)destructor;
    asked++;
    return EAGAIN;
}

static void *work(void *number) {
    static unsigned char *left_behind[BLOCKS];
    unsigned state = (unsigned)(uintptr_t)number;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = next(&state) % 3000;
        unsigned char *block = malloc(size);
        CHECK(block, "malloc in thread %zu", (size_t)number);
        fill(block, size, i);
        CHECK(filled(block, size, i), "a block");
        free(left_behind[i]);
        left_behind[i] = block;
    }
    return NULL;
}

int main(void) {
    free(malloc(1));
    size_t before = resident();
    for (intptr_t i = 0; i < THREADS; i++) join(start(work, (void *)i));
    malloc_trim(0);
    printf("%d keys asked for, %zu KB for each thread\n", asked, (resident() - before) / THREADS >> 10);
    CHECK(resident() < before + ((size_t)THREADS * KEPT_KB_PER_THREAD << 10), "%zu KB are left", (resident() - before) >> 10);
    return 0;
}
