/* The usable size of an address where there is nothing is asked for. */
#include "misuse.h"

int main(void) {
    if (malloc_usable_size(misused((void *)0x123456789000)) != 0) return 1;
    return !heap_works(24);
}
