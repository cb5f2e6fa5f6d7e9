/* A block of 100 KB is freed twice, and three others of its size in between. */
#include "misuse.h"

int main(void) {
    free_with_others_between(100000, 3);
    return !heap_works(100000);
}
