/* The address behind the beginning of a small block is freed: no block begins at an odd address. */
#include "misuse.h"

int main(void) {
    char *block = malloc(24);
    free(misused(block + 1));
    free(block);
    return !heap_works(24);
}
