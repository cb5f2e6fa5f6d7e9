/* A block is freed that realloc freed, being asked for no bytes. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24));
    realloc(block, 0);
    free(block);
    return !heap_works(24);
}
