/* A block is freed twice with its size. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(200));
    sized_free(block, 200);
    sized_free(block, 200);
    return !heap_works(200);
}
