/* Numbers that are no addresses of a program are freed: addresses of the kernel, and some that no processor accepts. */
#include "misuse.h"

int main(void) {
    free(misused((void *)0x800000000000));
    free(misused((void *)0xdeadbeefdeadbeef));
    free(misused((void *)0xffff800000000000));
    free(misused((void *)0xfffffffffffffff0));
    free(misused((void *)0xffffffffffffffff));
    return !heap_works(24);
}
