/* Every way to ask for a block of a given size, for rules that hold on all of them. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "check.h"

static inline void *via_malloc(size_t size) { return malloc(size); }
static inline void *via_calloc(size_t size) { return calloc(1, size); }
static inline void *via_calloc_of_bytes(size_t size) { return calloc(size, 1); }
static inline void *via_realloc(size_t size) { return realloc(NULL, size); }
static inline void *via_reallocarray(size_t size) { return reallocarray(NULL, 1, size); }
static inline void *via_aligned_alloc(size_t size) { return aligned_alloc(16, size); }
static inline void *via_aligned_alloc_of_page(size_t size) { return aligned_alloc(4096, size); }
static inline void *via_memalign(size_t size) { return memalign(64, size); }
static inline void *via_memalign_of_megabytes(size_t size) { return memalign(1 << 21, size); }
static inline void *via_valloc(size_t size) { return valloc(size); }
static inline void *via_pvalloc(size_t size) { return pvalloc(size); }

struct entry {
    const char *name;
    void *(*allocate)(size_t size);
};

static const struct entry ENTRIES[] = {{"malloc(n)", via_malloc},
                                       {"calloc(1, n)", via_calloc},
                                       {"calloc(n, 1)", via_calloc_of_bytes},
                                       {"realloc(NULL, n)", via_realloc},
                                       {"reallocarray(NULL, 1, n)", via_reallocarray},
                                       {"aligned_alloc(16, n)", via_aligned_alloc},
                                       {"aligned_alloc(4096, n)", via_aligned_alloc_of_page},
                                       {"memalign(64, n)", via_memalign},
                                       {"memalign(2 MiB, n)", via_memalign_of_megabytes},
                                       {"valloc(n)", via_valloc},
                                       {"pvalloc(n)", via_pvalloc}};
enum { ENTRY_COUNT = sizeof ENTRIES / sizeof ENTRIES[0] };

#endif
