/* A block from new is deleted as one aligned to a page, and an aligned one as a larger one. */
#include "misuse.h"
#include <new>

int main() {
    void *blocks[2] = {::operator new(48), ::operator new(48)};
    for (void *block : blocks)
        if (reinterpret_cast<size_t>(block) % 4096 != 0) {
            ::operator delete(misused(block), std::align_val_t(4096));
            break;
        }
    ::operator delete(misused(::operator new(128, std::align_val_t(64))), std::size_t(4000), std::align_val_t(64));
    return !heap_works(48);
}
