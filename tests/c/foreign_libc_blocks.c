/* Blocks of the C library's own allocator, reached by dlsym on the library itself, come to the program's free, realloc
   and malloc_usable_size: from its main heap, from the heaps of its threads, and as mappings of their own. */
#include "exchange.h"

static struct exchange libc;

static void *take_in_thread(void *unused) {
    take(&libc);
    return unused;
}

static void *make_all(void *blocks) {
    for (int i = 0; i < SIZE_COUNT; i++) ((void **)blocks)[i] = libc.make(SIZES[i]);
    return NULL;
}

int main(void) {
    libc = exchange_of(dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), LIBC_NAMES);
    take(&libc);
    join(start(take_in_thread, NULL));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) threads[i] = start(take_in_thread, NULL);
    for (int i = 0; i < 4; i++) join(threads[i]);
    void *blocks[SIZE_COUNT];
    join(start(make_all, blocks));
    for (int i = 0; i < SIZE_COUNT; i++) free(blocks[i]);
    return 0;
}
