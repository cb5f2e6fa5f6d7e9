/* A pointer into the middle of a block is freed with a size. */
#include "misuse.h"

int main(void) {
    char *block = malloc(200);
    sized_free(misused(block + 16), 184);
    free(block);
    return !heap_works(200);
}
