/* A block of 10 MB is freed twice, and three others of its size in between. */
#include "misuse.h"

int main(void) {
    free_with_others_between(10 << 20, 3);
    return !heap_works(10 << 20);
}
