/* A string literal is freed. */
#include "misuse.h"

int main(void) {
    free(misused((void *)"a literal of some length"));
    return !heap_works(24);
}
