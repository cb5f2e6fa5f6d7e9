/* The first bytes of a readable page behind an unreadable one are freed: what lies before a block must not be read. */
#include "misuse.h"

int main(void) {
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages, 4096, PROT_NONE);
    munmap(pages + 8192, 4096);
    free(misused(pages + 4096));
    free(misused(pages + 8192 - 16));
    return !heap_works(24);
}
