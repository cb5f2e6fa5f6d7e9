/* Aligned blocks that are freed serve again, also for blocks of other alignments: a program that allocates and frees
   them all the time does not grow. */
#include "check.h"

enum { BLOCKS = 200, OPERATIONS = 60000 };

int main(void) {
    static unsigned char *blocks[BLOCKS];
    unsigned state = 3;
    size_t early = 0;
    for (int i = 0; i < OPERATIONS; i++) {
        int at = next(&state) % BLOCKS;
        size_t alignment = (size_t)16 << next(&state) % 13, size = 1 + next(&state) % (i % 16 ? 3000 : 100000);
        free(blocks[at]);
        blocks[at] = i % 5 ? memalign(alignment, size) : malloc(size);
        CHECK(blocks[at] && (i % 5 == 0 || (uintptr_t)blocks[at] % alignment == 0), "%zu bytes at %zu", size, alignment);
        memset(blocks[at], 1, size);
        if (i == OPERATIONS / 5) early = resident();
    }
    CHECK(resident() < early + early / 4 + (2 << 20), "%zu KB became %zu KB", early >> 10, resident() >> 10);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    return 0;
}
