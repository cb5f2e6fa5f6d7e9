/* A pointer into the middle of a block is freed, and allocated again at once. */
#include "misuse.h"

int main(void) {
    char *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(200);
    for (int i = 0; i < 20; i++) free(blocks[i]);
    free(misused(blocks[90] + 64));
    return malloc(200) == blocks[90] + 64;
}
