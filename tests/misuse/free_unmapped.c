/* Addresses where there is nothing are freed. */
#include "misuse.h"

int main(void) {
    free(misused((void *)0x123456789000));
    free(misused((void *)0x10));
    free(misused((void *)0x1));
    free(misused((void *)0x7ffffffff000));
    return !heap_works(24);
}
