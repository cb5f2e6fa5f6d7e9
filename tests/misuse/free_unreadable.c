/* An address in a mapping that cannot be read is freed. */
#include "misuse.h"

int main(void) {
    char *closed = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    free(misused(closed + 65536 + 16));
    return !heap_works(24);
}
