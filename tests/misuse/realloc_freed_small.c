/* A small block is reallocated after it was freed. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(200));
    free(block);
    if (realloc(block, 1000) != NULL) return 1;
    return !heap_works(200);
}
