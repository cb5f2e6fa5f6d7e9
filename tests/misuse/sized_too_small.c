/* A block of 1000 bytes is freed as one of 24. */
#include "misuse.h"

int main(void) {
    sized_free(misused(malloc(1000)), 24);
    return !heap_works(1000);
}
