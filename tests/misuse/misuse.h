/* What the misuse programs share: they print the pointer that a message must name, and end with 0 if all goes on well. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
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
