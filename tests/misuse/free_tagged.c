/* The addresses of live blocks with bits set that no address of a program has, as a program leaves them that keeps a
   mark in its pointers and forgets to take it off. */
#include "misuse.h"

int main(void) {
    static const size_t SIZES[] = {24, 100000, 5000000};
    static const int BITS[] = {47, 48, 60, 63};
    for (int i = 0; i < 3; i++) {
        char *block = malloc(SIZES[i]);
        for (int bit = 0; bit < 4; bit++) free(misused((void *)((uintptr_t)block | (uintptr_t)1 << BITS[bit])));
        free(block);
    }
    return !heap_works(24);
}
