/* A pointer into the middle of a block of 100 KB is freed; the block stays. */
#include "misuse.h"

int main(void) {
    char *block = malloc(100000);
    memset(block, 3, 100000);
    free(misused(block + 16));
    free(misused(block + 70000));
    for (int i = 0; i < 100000; i++)
        if (block[i] != 3) return 1;
    free(block);
    return !heap_works(100000);
}
