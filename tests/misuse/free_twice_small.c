/* A small block is freed twice in a row. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24));
    free(block);
    free(block);
    return !heap_works(24);
}
