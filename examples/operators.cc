// A C++ program linked with -lhakmem: operator new and delete, and with them all containers, are HAKMEM's.
#include <hakmem.h>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <string>

struct alignas(64) Line {
    char bytes[64];
};

int main() {
    std::map<int, std::string> names;
    for (int i = 0; i < 1000; i++) names[i] = "a string that is too long to lie within its object " + std::to_string(i);
    auto line = std::make_unique<Line>();
    bool aligned = reinterpret_cast<std::uintptr_t>(line.get()) % alignof(Line) == 0;

    bool thrown = false;
    try {
        volatile std::size_t too_large = PTRDIFF_MAX;
        delete[] new char[too_large];
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    hak_stats_t stats;
    hak_stats_read(&stats);
    std::cout << "HAKMEM " << hak_version() << ": " << stats.allocations << " blocks allocated by " << names.size() << " entries\n";
    return aligned && thrown && stats.allocations >= 2000 ? EXIT_SUCCESS : EXIT_FAILURE;
}
