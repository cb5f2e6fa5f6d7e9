/* Says whether the system runs it in secure mode, as it does programs with more rights than their user. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

int main(void) {
    free(malloc(100));
    printf("secure: %lu\n", getauxval(AT_SECURE));
    return 0;
}
