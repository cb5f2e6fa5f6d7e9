/* A small block is written to after it was freed. */
#include "misuse.h"

int main(void) {
    size_t *block = malloc(24), *other = malloc(24);
    free(other);
    free(block);
    *(size_t *)misused(block) = 0x4141414141414141;
    return 0;
}
