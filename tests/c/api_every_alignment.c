/* Every entry, size and alignment: blocks are aligned as asked, realloc keeps what they hold however they were made,
   usable sizes may be used, and no two blocks overlap. Sizes lie around the borders of all kinds of blocks,
   alignments go up to 8 MiB. */
#include "check.h"

enum { LIVE = 48, ROUNDS = 30000, PAGE = 4096, KINDS = 6 };

struct block {
    unsigned char *at;
    size_t size;
    unsigned seed;
};

static unsigned state = 4711;

/* Contents are written and checked in all of the first and the last page, and in one byte of each page between. */
static size_t after(size_t place, size_t size) {
    return place >= PAGE && place + 2 * PAGE < size ? place + PAGE : place + 1;
}

static unsigned char byte(unsigned seed, size_t place) { return (unsigned char)(seed + place * 7 + (place >> 8) + (place >> 16)); }

static void write_all(const struct block *block) {
    for (size_t i = 0; i < block->size; i = after(i, block->size)) block->at[i] = byte(block->seed, i);
}

static void check_all(const struct block *block, const unsigned char *at, size_t size, const char *when) {
    for (size_t i = 0; i < block->size && i < size; i = after(i, block->size))
        CHECK(at[i] == byte(block->seed, i), "byte %zu of %zu, %s", i, block->size, when);
}

/* Around a border, up to eight bytes beside it, or anywhere; large ones are rarer. */
static size_t some_size(void) {
    unsigned kind = next(&state) % 16;
    if (kind < 6) return next(&state) % 1200;
    if (kind < 12) {
        size_t border = SIZES[next(&state) % SIZE_COUNT];
        size_t size = border + next(&state) % 17;
        return size < 8 ? size : size - 8;
    }
    if (kind < 13) return (next(&state) % 20 + 1) * 65536 + next(&state) % 17 - 8;
    return next(&state) % (kind == 15 ? 6u << 20 : 80000);
}

static void *allocate(unsigned kind, size_t alignment, size_t size, int *zero) {
    void *block = NULL;
    *zero = 0;
    switch (kind) {
    case 0: return malloc(size);
    case 1: *zero = 1; return calloc(1, size);
    case 2: return aligned_alloc(alignment, size);
    case 3: return memalign(alignment, size);
    case 4: return realloc(NULL, size);
    default:
        CHECK(posix_memalign(&block, alignment, size) == 0, "posix_memalign(%zu, %zu)", alignment, size);
        return block;
    }
}

static void check_place(const struct block *block, size_t alignment, const char *how) {
    CHECK(block->at != NULL, "%s of %zu, aligned to %zu", how, block->size, alignment);
    CHECK((uintptr_t)block->at % alignment == 0, "%s of %zu is %p, not aligned to %zu", how, block->size, (void *)block->at, alignment);
    CHECK(malloc_usable_size(block->at) >= block->size, "%s of %zu", how, block->size);
}

int main(void) {
    struct block blocks[LIVE];
    memset(blocks, 0, sizeof blocks);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct block *block = &blocks[next(&state) % LIVE];
        if (!block->at) {
            unsigned kind = next(&state) % KINDS;
            int is_aligned = kind == 2 || kind == 3 || kind == 5, zero;
            size_t alignment = (size_t)8 << next(&state) % (round % 8 ? 14 : 21);
            *block = (struct block){.size = some_size(), .seed = round};
            block->at = allocate(kind, alignment, block->size, &zero);
            check_place(block, is_aligned ? alignment : block->size >= 16 ? 16 : 8, "a new block");
            CHECK(!zero || all_zero(block->at, malloc_usable_size(block->at)), "calloc of %zu", block->size);
            /* All that is usable may be used. */
            if (round % 4 == 0) block->size = malloc_usable_size(block->at);
        } else if (next(&state) % 3) {
            size_t old = block->size;
            size_t size = round % 2 ? some_size() : old * (next(&state) % 24 + 1) / 8 + 1;
            if (size == 0 || size > 24 << 20) size = 1;
            check_all(block, block->at, old, "before realloc");
            unsigned char *at = realloc(block->at, size);
            CHECK(at != NULL, "realloc of %zu to %zu", old, size);
            check_all(block, at, size, "after realloc");
            *block = (struct block){at, size, round};
            check_place(block, size >= 16 ? 16 : 8, "realloc");
        } else {
            check_all(block, block->at, block->size, "before free");
            free(block->at);
            block->at = NULL;
            continue;
        }
        write_all(block);
    }
    for (int i = 0; i < LIVE; i++) {
        if (blocks[i].at) check_all(&blocks[i], blocks[i].at, blocks[i].size, "at the end");
        free(blocks[i].at);
    }
    return 0;
}
