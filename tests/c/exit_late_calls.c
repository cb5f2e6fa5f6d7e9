/* exit runs handlers and destructors of other libraries after the allocator's own, while threads go on: all of them may
   still allocate, free and read what they hold. argv[1]: a plugin with a destructor. */
#include "busy.h"
#include <dlfcn.h>

static char *text;

static void at_exit(void) {
    CHECK(strcmp(text, "text") == 0, "block of main");
    text = realloc(text, 5000);
    CHECK(text && strcmp(text, "text") == 0, "block of main, moved");
    use_heap(NULL);
}

__attribute__((destructor(101))) static void last_destructor(void) {
    CHECK(strcmp(text, "text") == 0, "block of main in a destructor");
    free(text);
    use_heap(NULL);
}

int main(int argc, char **argv) {
    text = strdup("text");
    atexit(at_exit);
    void *library = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW);
    CHECK(library, "%s", dlerror());
    void (*keep)(char *) = (void (*)(char *))dlsym(library, "keep");
    keep(strdup("kept"));
    start_busy(4);
    usleep(10000);
    return 0;
}
