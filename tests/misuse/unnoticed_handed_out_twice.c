/* A block is freed twice with another in between, and all of them are allocated again at once. */
#include "misuse.h"

int main(void) {
    char *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(24);
    for (int i = 0; i < 80; i++) free(blocks[i]);
    free(misused(blocks[90]));
    free(blocks[91]);
    free(blocks[90]);
    for (int i = 0; i < 3; i++) blocks[i] = malloc(24);
    return blocks[0] == blocks[2];
}
