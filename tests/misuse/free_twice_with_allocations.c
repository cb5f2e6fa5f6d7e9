/* A small block is freed twice; in between blocks of other sizes come and go, and one of its own size goes. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24)), *other = malloc(24);
    free(block);
    for (int i = 0; i < 100; i++) free(malloc(100 + i));
    free(other);
    free(block);
    return !heap_works(200);
}
