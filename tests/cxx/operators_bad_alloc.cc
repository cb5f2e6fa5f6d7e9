// Where there is no memory and no handler, new throws std::bad_alloc, through as many frames as there are, running their
// destructors; nothrow new gives null. Sizes of arrays that overflow throw too.
#include "failing.h"
#include <vector>

static int destroyed;
struct Counts {
    ~Counts() { destroyed++; }
};

__attribute__((noinline)) static void *deep(const Failing &failing, int depth) {
    Counts counts;
    void *block = depth ? deep(failing, depth - 1) : failing.call();
    return opaque(block);
}

static void *from_thread(void *unused) {
    for (const Failing &failing : FAILING) {
        bool thrown = false;
        destroyed = 0;
        try {
            void *block = deep(failing, 9);
            CHECK(block == nullptr, "%s gives %p", failing.name, block);
        } catch (const std::bad_alloc &error) {
            thrown = strcmp(error.what(), "std::bad_alloc") == 0;
        }
        CHECK(thrown != failing.nothrow, "%s throws: %d", failing.name, thrown);
        CHECK(destroyed == 10, "%s: %d of 10 destructors ran", failing.name, destroyed);
    }
    return unused;
}

int main() {
    from_thread(nullptr);
    join(start(from_thread, nullptr));
    int caught = 0;
    try {
        opaque(new char[opaque_size(SIZE_MAX)]);
    } catch (const std::bad_alloc &) {
        caught++;
    }
    try {
        opaque(new double[opaque_size(SIZE_MAX / 4)]);
    } catch (const std::bad_array_new_length &) {
        caught++;
    }
    CHECK(opaque(new (std::nothrow) char[opaque_size(PTRDIFF_MAX) + 1]) == nullptr, "half the address space");
    try {
        std::vector<char> vector;
        vector.reserve(std::size_t(1) << 58);
    } catch (const std::bad_alloc &) {
        caught++;
    }
    CHECK(caught == 3, "%d of 3 errors were caught", caught);
}
