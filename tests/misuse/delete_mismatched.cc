/* Blocks are freed by another family of functions than they were allocated with, which does no harm here. */
#include "misuse.h"
#include <new>

int main() {
    ::operator delete(malloc(48));
    free(::operator new(48));
    free(::operator new(128, std::align_val_t(64)));
    delete[] static_cast<char *>(::operator new(48));
    return !heap_works(48);
}
