/* Blocks of every kind are deleted with sizes that are too small or too large. */
#include "misuse.h"
#include <new>
#include <thread>

static void *made(std::size_t size) { return misused(::operator new(size)); }

int main() {
    ::operator delete(made(200), std::size_t(8));
    ::operator delete(made(200), std::size_t(209));
    ::operator delete[](made(24), std::size_t(0));
    ::operator delete(made(24), std::size_t(-1));
    ::operator delete(made(3000), std::size_t(2000));
    ::operator delete(made(100000), std::size_t(1000));
    ::operator delete(made(100000), std::size_t(200000));
    ::operator delete(made(10 << 20), std::size_t(1000));
    ::operator delete(made(10 << 20), std::size_t(20 << 20));
    void *block = made(500);
    std::thread([block] { ::operator delete(block, std::size_t(8)); }).join();
    return !heap_works(200);
}
