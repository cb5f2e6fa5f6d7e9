/* Blocks of all kinds are freed as larger ones. */
#include "misuse.h"

int main(void) {
    sized_free(misused(malloc(24)), 100);
    sized_free(misused(malloc(100000)), 200000);
    sized_free(misused(malloc(10 << 20)), 20 << 20);
    return !heap_works(24);
}
