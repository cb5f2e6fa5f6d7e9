/* A static variable is freed. */
#include "misuse.h"

static long variables[64] = {1, 2, 3};

int main(void) {
    free(misused(variables + 16));
    return variables[2] != 3 || !heap_works(24);
}
