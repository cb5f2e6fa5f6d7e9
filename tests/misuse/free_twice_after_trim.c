/* A large block is freed again when its memory has long gone back to the system. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(10 << 20));
    free(block);
    malloc_trim(0);
    free(block);
    return !heap_works(1 << 20);
}
