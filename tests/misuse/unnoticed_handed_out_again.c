/* A block is freed, handed out to another user, and freed again by the first. No allocator can distinguish that from
   a correct free. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24)), *second;
    free(block);
    second = malloc(24);
    free(block);
    return second != block || malloc(24) != block;
}
