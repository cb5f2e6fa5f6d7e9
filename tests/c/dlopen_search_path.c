/* dlopen searches by the path of its caller. A plugin's call must appear as the plugin's, not as that of a library
   between the plugin and the loader. argv[1]: the plugin. */
#include "check.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
    void *library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "%s", dlerror());
    int (*ask_neighbour)(void) = (int (*)(void))dlsym(library, "ask_neighbour");
    CHECK(ask_neighbour() == 42, "%s", dlerror());
    CHECK(dlopen("libneighbour.so", RTLD_NOW | RTLD_NOLOAD) != NULL, "the neighbour is not loaded");
    CHECK(dlopen("no-such-library.so", RTLD_NOW) == NULL && strstr(dlerror(), "no-such-library.so"), "error text");
    CHECK(dlopen(NULL, RTLD_NOW) != NULL, "the program itself");
    return 0;
}
