/* A small block is freed twice with another in between, and then the program goes on for long. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24)), *other = malloc(24);
    free(block);
    free(other);
    free(block);
    malloc_trim(0);
    for (int i = 0; i < 1000; i++)
        if (!heap_works(24)) return 1;
    return 0;
}
