/* A small block that the thread put back into its span, where other blocks are in use, is freed again. */
#include "misuse.h"

int main(void) {
    char *first = misused(malloc(24)), *second = malloc(24), *third = malloc(24);
    second[0] = 5;
    free(first);
    free(third);
    malloc_trim(0);
    free(first);
    malloc_trim(0);
    return second[0] != 5 || !heap_works(24);
}
