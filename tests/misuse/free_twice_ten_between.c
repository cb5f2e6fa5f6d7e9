/* A small block is freed twice, and ten of its size in between. */
#include "misuse.h"

int main(void) {
    free_with_others_between(24, 10);
    return 0;
}
