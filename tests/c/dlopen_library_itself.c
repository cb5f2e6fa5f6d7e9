/* The allocator is opened by a program that runs on the C library's malloc: both heaps live side by side, blocks of
   each reach the other's free, and closing the library leaves it in place. argv[1]: the library. */
#include "exchange.h"

static const char *const HAK_NAMES[7] = {"hak_malloc",      "hak_aligned_alloc",      "hak_realloc", "hak_free",
                                         "hak_malloc_usable_size", "hak_version", "hak_collect"};
static struct exchange hak;

static void *use(void *unused) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *theirs = malloc(SIZES[i]);
        char *ours = hak.make(SIZES[i]);
        fill(theirs, SIZES[i], i);
        fill(ours, SIZES[i], i + 1);
        CHECK(hak.usable(ours) >= SIZES[i] && hak.usable(theirs) >= SIZES[i], "usable size");
        ours = hak.resize(ours, SIZES[i] * 2 + 1);
        theirs = hak.resize(theirs, SIZES[i] * 2 + 1);
        CHECK(filled(ours, SIZES[i], i + 1) && filled(theirs, SIZES[i], i), "%zu bytes after realloc", SIZES[i]);
        hak.destroy(theirs);
        hak.destroy(ours);
    }
    return unused;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    hak = exchange_of(library, HAK_NAMES);
    use(NULL);
    join(start(use, NULL));
    char *kept = hak.make(100);
    fill(kept, 100, 1);
    dlclose(library);
    dlclose(library);
    CHECK(filled(kept, 100, 1), "block after dlclose");
    use(NULL);
    join(start(use, NULL));
    pid_t child = fork();
    if (child == 0) {
        use(NULL);
        _exit(0);
    }
    reap(child);
    hak.destroy(kept);
    return 0;
}
