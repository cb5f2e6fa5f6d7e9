/* A block is written to after it was freed, but not where the allocator keeps data, and handed out again. */
#include "misuse.h"

int main(void) {
    size_t *block = misused(malloc(24)), *second;
    free(block);
    block[2] = 5;
    second = malloc(24);
    return second != block;
}
