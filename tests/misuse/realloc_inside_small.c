/* A pointer into the middle of a small block is reallocated; the block stays. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    char *block = malloc(200);
    block[0] = 5;
    if (realloc(misused(block + 16), 1000) != NULL || errno != ENOMEM) return 1;
    return block[0] != 5 || !heap_works(200);
}
