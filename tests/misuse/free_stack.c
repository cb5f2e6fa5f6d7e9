/* A variable on the stack is freed. */
#include "misuse.h"

int main(void) {
    long variables[64] = {1, 2, 3};
    free(misused(variables + 16));
    return variables[2] != 3 || !heap_works(24);
}
