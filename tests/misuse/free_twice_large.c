/* A block of 10 MB, which is a mapping of its own, is freed twice. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(10 << 20));
    free(block);
    free(block);
    return !heap_works(1 << 20);
}
