// A program that catches whatever comes and throws nothing: of the C++ runtime it links as little as there can be.
#include <cstddef>
#include <new>

int main() {
    volatile std::size_t size = std::size_t(1) << 60;
    try {
        ::operator delete(::operator new(size));
    } catch (...) {
        return 0;
    }
    return 1;
}
