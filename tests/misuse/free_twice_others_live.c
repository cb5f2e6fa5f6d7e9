/* One of a thousand blocks is freed twice with another in between, while the others are in use. */
#include "misuse.h"

int main(void) {
    char *blocks[1000];
    for (int i = 0; i < 1000; i++) memset(blocks[i] = malloc(48), i, 48);
    free(misused(blocks[500]));
    free(blocks[501]);
    free(blocks[500]);
    for (int i = 502; i < 1000; i++)
        if (blocks[i][47] != (char)i) return 1;
    return !heap_works(200);
}
