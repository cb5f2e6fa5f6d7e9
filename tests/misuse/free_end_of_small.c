/* The address behind the last byte of the first block is freed, where no block was handed out yet. */
#include "misuse.h"

int main(void) {
    char *block = malloc(3000);
    free(misused(block + 3072));
    return !heap_works(3000);
}
