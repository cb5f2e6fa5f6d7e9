/* A plugin that allocates for its program and frees for it. Opened with RTLD_DEEPBIND or in a namespace of its own, its
   functions are the C library's. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *make(size_t size) { return malloc(size); }
void *make_aligned(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }
void *resize(void *block, size_t size) { return realloc(block, size); }
void destroy(void *block) { free(block); }
size_t usable(void *block) { return malloc_usable_size(block); }
char *describe(int number) {
    char *text = NULL;
    return asprintf(&text, "number %d", number) < 0 ? NULL : text;
}
char *duplicate(const char *text) { return strdup(text); }
