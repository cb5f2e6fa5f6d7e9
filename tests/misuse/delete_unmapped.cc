/* An address where there is nothing is deleted, as an array of a size, and aligned. */
#include "misuse.h"
#include <new>

int main() {
    ::operator delete[](misused(reinterpret_cast<void *>(0x123456789000)), std::size_t(100));
    ::operator delete(misused(reinterpret_cast<void *>(0x123456789000)), std::align_val_t(64));
    return !heap_works(24);
}
