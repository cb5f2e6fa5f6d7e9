/* A library whose destructor runs among the last of a program, and still uses the heap. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *kept;

void keep(char *block) { kept = block; }

__attribute__((destructor)) static void leave(void) {
    char *more = realloc(kept, 100000);
    if (more == NULL || strcmp(more, "kept") != 0) _exit(5);
    free(more);
    for (int i = 0; i < 1000; i++) free(malloc(i * 10));
}
