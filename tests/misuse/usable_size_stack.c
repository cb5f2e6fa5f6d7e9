/* The usable size of a variable on the stack is asked for: it has none. */
#include "misuse.h"

int main(void) {
    long variables[64] = {1, 2, 3};
    if (malloc_usable_size(misused(variables + 16)) != 0) return 1;
    return variables[2] != 3 || !heap_works(24);
}
