/* A plugin with an allocator of its own linked in, which no other library sees. */
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 30000, SIZE = 2000 };

__attribute__((visibility("default"))) void use(void) {
    void **blocks = malloc(BLOCKS * sizeof *blocks);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    free(blocks);
}
