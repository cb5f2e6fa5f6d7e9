/* A plugin that opens a library by its bare name, which its own search path leads to. */
#include <dlfcn.h>
#include <stddef.h>

int ask_neighbour(void) {
    void *library = dlopen("libneighbour.so", RTLD_NOW);
    int (*neighbour)(void) = library ? (int (*)(void))dlsym(library, "neighbour") : NULL;
    return neighbour ? neighbour() : -1;
}
