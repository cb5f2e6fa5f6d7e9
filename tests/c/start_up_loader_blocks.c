/* The loader allocates with a malloc of its own before ours is there, and grows and frees those blocks with ours later:
   vectors of thread-local storage, lists of libraries. argv: copies of one plugin. */
#include "check.h"
#include <dlfcn.h>

static void **libraries;
static int opened;

static void *touch_all(void *rounds) {
    for (intptr_t round = 0; round < (intptr_t)rounds; round++)
        for (int i = 0; i < opened; i++) {
            int (*touch)(int) = (int (*)(int))dlsym(libraries[i], "touch");
            void (*leave)(void) = (void (*)(void))dlsym(libraries[i], "leave");
            CHECK(touch && touch(100 * i), "thread-local storage of plugin %d", i);
            leave();
        }
    return NULL;
}

int main(int argc, char **argv) {
    libraries = calloc(argc, sizeof *libraries);
    for (int round = 0; round < 20; round++) {
        for (int i = 1; i < argc; i++) {
            libraries[opened] = dlopen(argv[i], RTLD_NOW);
            CHECK(libraries[opened], "%s", dlerror());
            opened++;
            touch_all((void *)1);
        }
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) threads[i] = start(touch_all, (void *)3);
        for (int i = 0; i < 4; i++) join(threads[i]);
        while (opened > 0) CHECK(dlclose(libraries[--opened]) == 0, "%s", dlerror());
    }
    free(libraries);
    return 0;
}
