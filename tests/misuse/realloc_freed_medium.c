/* A block of 100 KB is reallocated after it was freed. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(100000));
    free(block);
    if (realloc(block, 200000) != NULL) return 1;
    return !heap_works(100000);
}
