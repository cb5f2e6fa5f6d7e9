/* A function is freed. */
#include "misuse.h"

int main(void) {
    free(misused((void *)main));
    return !heap_works(24);
}
