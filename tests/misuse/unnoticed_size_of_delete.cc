/* An object of a derived class is deleted with the size of its base. */
#include "misuse.h"
#include <new>

int main() {
    ::operator delete(misused(::operator new(200)), std::size_t(8));
    return !heap_works(200);
}
