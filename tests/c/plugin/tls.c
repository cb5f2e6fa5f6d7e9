/* A plugin with thread-local storage, which the loader allocates when a thread first touches it. */
#include <stdlib.h>

static __thread char large[20000];
static __thread void *block;

int touch(int value) {
    if (block == NULL) block = malloc(value);
    large[value] = (char)value;
    return large[value] == (char)value && block != NULL;
}

void leave(void) {
    free(block);
    block = NULL;
}
