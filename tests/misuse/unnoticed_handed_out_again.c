/* A block is freed, handed out to somebody else, and freed by its first user again. Nobody can tell that from a right free. */
#include "misuse.h"

int main(void) {
    void *block = misused(malloc(24)), *second;
    free(block);
    second = malloc(24);
    free(block);
    return second != block || malloc(24) != block;
}
