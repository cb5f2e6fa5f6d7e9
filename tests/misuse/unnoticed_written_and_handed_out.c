/* A block is written to after it was freed, not where the allocator keeps anything, and handed out again. */
#include "misuse.h"

int main(void) {
    size_t *block = misused(malloc(24)), *second;
    free(block);
    block[2] = 5;
    second = malloc(24);
    return second != block;
}
