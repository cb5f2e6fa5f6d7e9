/* The usable size of pointers into the middle of blocks is asked for: they have none. */
#include "misuse.h"

int main(void) {
    char *small = malloc(200), *medium = malloc(100000), *large = malloc(10 << 20);
    if (malloc_usable_size(misused(small + 16)) != 0) return 1;
    if (malloc_usable_size(misused(medium + 16)) != 0) return 1;
    if (malloc_usable_size(misused(large + 16)) != 0) return 1;
    return !heap_works(200);
}
