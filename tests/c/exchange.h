/* The functions of a plugin that allocates for its program and frees for it, and what can be exchanged with it. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "check.h"
#include <dlfcn.h>

struct exchange {
    void *(*make)(size_t size);
    void *(*make_aligned)(size_t alignment, size_t size);
    void *(*resize)(void *block, size_t size);
    void (*destroy)(void *block);
    size_t (*usable)(void *block);
    char *(*describe)(int number);
    char *(*duplicate)(const char *text);
};

/* The functions called `names` of an opened library, in the order of the struct. */
static inline struct exchange exchange_of(void *library, const char *const names[7]) {
    CHECK(library, "%s", dlerror());
    void *functions[7];
    for (int i = 0; i < 7; i++) {
        functions[i] = dlsym(library, names[i]);
        CHECK(functions[i], "%s", dlerror());
    }
    struct exchange exchange;
    memcpy(&exchange, functions, sizeof exchange);
    return exchange;
}

static const char *const PLUGIN_NAMES[7] = {"make", "make_aligned", "resize", "destroy", "usable", "describe", "duplicate"};
static const char *const LIBC_NAMES[7] = {"malloc", "aligned_alloc", "realloc", "free", "malloc_usable_size", "strerror", "strdup"};

/* Blocks made there are used, moved and freed here. */
static inline void take(const struct exchange *there) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t size = SIZES[i];
        char *blocks[4];
        for (int b = 0; b < 4; b++) {
            blocks[b] = b == 3 ? there->make_aligned(4096, size) : there->make(size);
            CHECK(blocks[b], "a block of %zu bytes from there", size);
            CHECK(malloc_usable_size(blocks[b]) >= size, "usable size of %zu bytes from there", size);
            fill(blocks[b], size, b);
        }
        blocks[1] = realloc(blocks[1], size * 2 + 1);
        CHECK(blocks[1] && filled(blocks[1], size, 1), "%zu bytes from there, grown here", size);
        blocks[2] = realloc(blocks[2], size / 2 + 1);
        CHECK(blocks[2] && filled(blocks[2], size / 2, 2), "%zu bytes from there, shrunk here", size);
        CHECK(filled(blocks[0], size, 0) && filled(blocks[3], size, 3), "neighbours of %zu bytes", size);
        for (int b = 0; b < 4; b++) free(blocks[b]);
        CHECK(realloc(there->make(size), 0) == NULL, "realloc to 0 of %zu bytes from there", size);
    }
}

/* Blocks made here are used, moved and freed there. */
static inline void give(const struct exchange *there) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        size_t size = SIZES[i];
        char *block = malloc(size);
        fill(block, size, i);
        CHECK(there->usable(block) >= size, "usable size of %zu bytes, asked there", size);
        block = there->resize(block, size * 2 + 1);
        CHECK(block && filled(block, size, i), "%zu bytes, grown there", size);
        there->destroy(block);
        there->destroy(aligned_alloc(256, size));
    }
}

#endif
