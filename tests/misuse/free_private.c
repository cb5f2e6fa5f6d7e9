/* A block of the program's own allocator, in a mapping of its own, is freed with free. */
#include "misuse.h"

int main(void) {
    char *arena = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(arena, 7, 1 << 20);
    free(misused(arena));
    free(misused(arena + 4096));
    free(misused(arena + 70000));
    for (int i = 0; i < 1 << 20; i++)
        if (arena[i] != 7) return 1;
    return !heap_works(24);
}
