/* A block is freed again that realloc to 0 bytes had freed. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24));
    realloc(block, 0);
    free(block);
    return !heap_works(24);
}
