/* A small block is freed again when all blocks around it were freed, and its place is free for other sizes. */
#include "misuse.h"

int main(void) {
    void *blocks[10000];
    for (int i = 0; i < 10000; i++) blocks[i] = malloc(2000);
    for (int i = 0; i < 10000; i++) free(blocks[i]);
    free(misused(blocks[5000]));
    return !heap_works(2000);
}
