/* A small block is freed twice, and two of its size in between. */
#include "misuse.h"

int main(void) {
    free_with_others_between(24, 2);
    return 0;
}
