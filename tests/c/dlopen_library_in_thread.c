/* The allocator is opened by a thread, which uses it and ends; threads that come after it get its stack, and what the C library keeps
   there of threads. Each has a heap of its own all the same, and finds blocks of those before it. argv[1]: the library. */
#include "exchange.h"

enum { THREADS = 40, BLOCKS = 50 };

static const char *const HAK_NAMES[7] = {"hak_malloc",      "hak_aligned_alloc",      "hak_realloc", "hak_free",
                                         "hak_malloc_usable_size", "hak_version", "hak_collect"};
static struct exchange hak;
static char *blocks[BLOCKS];
static const char *path;

static void *use(void *number) {
    if (number == NULL) hak = exchange_of(dlopen(path, RTLD_NOW | RTLD_LOCAL), HAK_NAMES);
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = SIZES[i];
        if (blocks[i]) {
            CHECK(filled(blocks[i], size, i), "%zu bytes of a thread that ended", size);
            blocks[i] = (uintptr_t)number % 2 ? hak.resize(blocks[i], size + 1) : (hak.destroy(blocks[i]), hak.make(size));
        } else {
            blocks[i] = hak.make(size);
        }
        CHECK(blocks[i], "%zu bytes", size);
        fill(blocks[i], size, i);
    }
    return (void *)pthread_self();
}

int main(int argc, char **argv) {
    path = argc > 1 ? argv[1] : "";
    void *first = join(start(use, NULL));
    int same = 0;
    for (uintptr_t i = 1; i < THREADS; i++) same += join(start(use, (void *)i)) == first;
    CHECK(same, "no thread got the stack of the first one");
    use((void *)1);
    return 0;
}
