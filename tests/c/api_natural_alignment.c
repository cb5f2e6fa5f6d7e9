/* Blocks of 16 bytes and more are aligned to 16, smaller ones to 8, by every entry, fresh and recycled. */
#include "entries.h"

int main(void) {
    for (int round = 0; round < 3; round++)
        for (int e = 0; e < ENTRY_COUNT; e++)
            for (size_t size = 1; size < 2000; size += size < 130 ? 1 : 13) {
                void *blocks[5];
                for (int i = 0; i < 5; i++) {
                    blocks[i] = ENTRIES[e].allocate(size);
                    size_t alignment = size >= 16 ? 16 : 8;
                    CHECK((uintptr_t)blocks[i] % alignment == 0, "%s of %zu is %p", ENTRIES[e].name, size, blocks[i]);
                }
                for (int i = 0; i < 5; i++) free(blocks[i]);
            }
    return 0;
}
