/* A block of 100 KB, which has pages of its own, is freed twice. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(100000));
    free(block);
    free(block);
    return !heap_works(100000);
}
