/* What the misuse programs share: they print the pointer that a message must name, and end with 0 if all goes on well. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Prints `pointer` and gives it back, without the compiler knowing where it came from. */
static inline void *misused(void *pointer) {
    printf("%#zx\n", (size_t)pointer);
    fflush(stdout);
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* Whether the heap still gives out different blocks of this size that hold what is written into them. */
static inline int heap_works(size_t size) {
    enum { BLOCKS = 50 };
    char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) memset(blocks[i] = (char *)malloc(size), i, size);
    int works = 1;
    for (int i = 0; i < BLOCKS; i++) works &= size == 0 || (blocks[i][0] == i && blocks[i][size - 1] == i);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    return works;
}

/* Frees a block, `between` others, and the block again. */
static inline void free_with_others_between(size_t size, int between) {
    void **others = (void **)malloc(sizeof(void *) * (between + 1));
    void *block = misused(malloc(size));
    for (int i = 0; i < between; i++) others[i] = malloc(size);
    free(block);
    for (int i = 0; i < between; i++) free(others[i]);
    free(block);
}

/* C23's functions, which glibc 2.36 does not declare; without one in the allocator, plain free. */
static inline void sized_free(void *block, size_t size) {
    void (*function)(void *, size_t) = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    if (function) function(block, size);
    else free(block);
}

static inline void aligned_sized_free(void *block, size_t align, size_t size) {
    void (*function)(void *, size_t, size_t) =
        (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (function) function(block, align, size);
    else free(block);
}
