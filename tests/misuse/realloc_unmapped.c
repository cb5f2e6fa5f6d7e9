/* An address where there is nothing is reallocated. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    if (realloc(misused((void *)0x123456789000), 1000) != NULL || errno != ENOMEM) return 1;
    return !heap_works(24);
}
