/* A pointer into the middle of a block of 10 MB is freed; the block stays. */
#include "misuse.h"

int main(void) {
    char *block = malloc(10 << 20);
    memset(block, 3, 10 << 20);
    free(misused(block + 16));
    free(misused(block + (5 << 20)));
    for (int i = 0; i < 10 << 20; i++)
        if (block[i] != 3) return 1;
    free(block);
    return !heap_works(1 << 20);
}
