/* A program without a C++ runtime opens a plugin that brings one with it (RTLD_LOCAL). In the plugin, handlers are
   called and exceptions thrown as anywhere. argv[1]: the plugin. */
#include "check.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
    void *library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
    CHECK(library, "%s", dlerror());
    int (*failures)(void) = (int (*)(void))dlsym(library, "failures");
    CHECK(failures() == 0, "%d cases went wrong", failures());
    return 0;
}
