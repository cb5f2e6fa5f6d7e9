/* The contents that fit into the new size are there after realloc, from every size to every size, for aligned blocks
   too, and for mappings that the system moves. */
#include "check.h"

static void move(char *block, size_t from, size_t to, const char *what) {
    fill(block, from, (unsigned)from);
    char *moved = realloc(block, to);
    size_t kept = from < to ? from : to;
    CHECK(moved, "realloc of %s from %zu to %zu", what, from, to);
    CHECK(filled(moved, kept, (unsigned)from), "%s from %zu to %zu", what, from, to);
    CHECK(malloc_usable_size(moved) >= to, "%s from %zu to %zu: usable size", what, from, to);
    memset(moved, 0xee, to);
    free(moved);
}

int main(void) {
    for (int i = 0; i < SIZE_COUNT; i++)
        for (int j = 0; j < SIZE_COUNT; j++) {
            if (SIZES[i] > 300000 && SIZES[j] > 300000 && (i + j) % 5) continue; /* large to large: some */
            if (SIZES[j] == 0) continue;
            move(malloc(SIZES[i]), SIZES[i], SIZES[j], "a block");
            if (i % 4 == 0) move(aligned_alloc(8192, SIZES[i]), SIZES[i], SIZES[j], "an aligned block");
        }
    /* Grown step by step from 1 byte to 100 MB, never losing a byte, and back. */
    char *block = malloc(1);
    size_t size = 1;
    *block = 1;
    while (size < 100000000) {
        size_t next = size + size / 2 + 1;
        block = realloc(block, next);
        CHECK(block && block[0] == 1 && block[size - 1] == 1, "growing from %zu to %zu", size, next);
        memset(block + size, 1, next - size);
        size = next;
    }
    while (size > 10) {
        size /= 3;
        block = realloc(block, size);
        CHECK(block && block[0] == 1 && block[size - 1] == 1, "shrinking to %zu", size);
    }
    free(block);
    return 0;
}
