/* A small block is freed twice, and a thousand of its size in between. */
#include "misuse.h"

int main(void) {
    free_with_others_between(24, 1000);
    return 0;
}
