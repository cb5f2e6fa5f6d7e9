/* A pointer into the middle of a small block is freed; the block stays. */
#include "misuse.h"

int main(void) {
    char *block = malloc(200);
    memset(block, 3, 200);
    free(misused(block + 64));
    for (int i = 72; i < 200; i++)
        if (block[i] != 3) return 1;
    free(block);
    return !heap_works(200);
}
