/* A block moved when it grew, and its old address is freed. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24));
    void *moved = realloc(block, 2000);
    free(block);
    free(moved);
    return !heap_works(24);
}
