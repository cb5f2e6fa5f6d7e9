/* The first calls come before any constructor of the allocator has run: from .preinit_array, then from constructors of
   the highest priority. Their blocks are as good as all others. */
#include "check.h"

static char *early[3];

static void allocate(int which) {
    early[which] = malloc(100);
    fill(early[which], 100, which);
    char *grown = realloc(malloc(10), 5000);
    int *zeroes = calloc(1000, sizeof(int));
    CHECK(grown && all_zero(zeroes, 4000), "calloc in phase %d", which);
    free(grown);
    free(zeroes);
}

static void preinit(void) { allocate(0); }
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;
__attribute__((constructor(101))) static void first_constructor(void) { allocate(1); }
__attribute__((constructor)) static void last_constructor(void) { allocate(2); }

int main(void) {
    for (int i = 0; i < 3; i++) {
        CHECK(filled(early[i], 100, i), "block of phase %d", i);
        early[i] = realloc(early[i], 100000);
        CHECK(early[i] && filled(early[i], 100, i), "reallocated block of phase %d", i);
        free(early[i]);
    }
    return 0;
}
