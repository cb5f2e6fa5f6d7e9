/* Naming misuse leaves errno as it was, also where it had to ask the system what the pointer is. */
#include "misuse.h"
#include <errno.h>

int main(void) {
    void *block = malloc(10 << 20);
    free(block);
    errno = 77;
    free(misused(block));
    free(misused((void *)0x123456789000));
    free(misused(&errno));
    return errno != 77;
}
