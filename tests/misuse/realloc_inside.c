/* A pointer into the middle of a large block is reallocated; the block stays. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    char *block = malloc(10 << 20);
    block[0] = 5;
    if (realloc(misused(block + 4096), 1000) != NULL || errno != ENOMEM) return 1;
    if (block[0] != 5) return 1;
    free(block);
    return !heap_works(24);
}
