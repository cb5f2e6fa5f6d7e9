/* A block moved when it grew, and where it was is freed. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24));
    void *moved = realloc(block, 2000);
    free(block);
    free(moved);
    return !heap_works(24);
}
