/* A variable on the stack is reallocated: it stays, and there is no new block. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    long variables[64] = {1, 2, 3};
    if (realloc(misused(variables + 16), 1000) != NULL || errno != ENOMEM) return 1;
    return variables[2] != 3 || !heap_works(24);
}
