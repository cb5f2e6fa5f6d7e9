/* A block that was freed is deleted. */
#include "misuse.h"

int main() {
    void *block = misused(malloc(200));
    free(block);
    ::operator delete(block);
    return !heap_works(200);
}
