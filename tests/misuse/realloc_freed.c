/* A block of 10 MB is reallocated after it was freed. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    void *block = misused(malloc(10 << 20));
    free(block);
    if (realloc(block, 1000) != NULL || errno != ENOMEM) return 1;
    return !heap_works(24);
}
