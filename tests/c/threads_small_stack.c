/* Threads with the smallest stack there is do everything: all sizes, moves, alignments, frees of others' blocks. */
#include "check.h"
#include <limits.h>

static void *theirs[SIZE_COUNT];

static void *everything(void *unused) {
    for (int i = 0; i < SIZE_COUNT; i++) {
        void *block = malloc(SIZES[i]);
        void *zeroes = calloc(1, SIZES[i]);
        void *aligned = aligned_alloc(1 << (i % 20), SIZES[i]);
        CHECK(block && zeroes && aligned, "size %zu", SIZES[i]);
        block = realloc(block, SIZES[i] * 2 + 1);
        CHECK(block, "realloc to %zu", SIZES[i] * 2 + 1);
        free(theirs[i]);
        free(zeroes);
        free(block);
        free(aligned);
    }
    malloc_trim(0);
    return unused;
}

int main(void) {
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < SIZE_COUNT; i++) theirs[i] = malloc(SIZES[i]);
        pthread_attr_t attributes;
        pthread_t thread;
        pthread_attr_init(&attributes);
        CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0, "stack of PTHREAD_STACK_MIN");
        CHECK(pthread_create(&thread, &attributes, everything, NULL) == 0, "no thread");
        join(thread);
    }
    return 0;
}
