// While there is no memory, new calls the new-handler and tries again: until the handler has freed memory,
// is removed, has installed another one, or throws. The exception leaves new; a nothrow new returns null instead.
#include "failing.h"

static int calls;
struct Given {
    int calls;
};

static void gives_up() {
    if (++calls == 3) std::set_new_handler(nullptr);
}
static void throws() {
    if (++calls == 3) throw Given{calls};
}
static void second() {
    calls += 100;
    std::set_new_handler(nullptr);
}
static void hands_over() {
    calls++;
    std::set_new_handler(second);
}

template <typename Error> static bool fails_with(const Failing &failing) {
    try {
        void *block = failing.call();
        CHECK(block == nullptr, "%s gives %p", failing.name, block);
        return false;
    } catch (const Error &) {
        return true;
    }
}

static void *reserve;
static void makes_room() {
    calls++;
    free(reserve);
    reserve = nullptr;
    std::set_new_handler(nullptr);
}

int main() {
    for (const Failing &failing : FAILING) {
        calls = 0;
        std::set_new_handler(gives_up);
        CHECK(fails_with<std::bad_alloc>(failing) != failing.nothrow && calls == 3, "%s: %d calls", failing.name, calls);
        calls = 0;
        std::set_new_handler(throws);
        CHECK(fails_with<Given>(failing) != failing.nothrow && calls == 3, "%s: %d calls", failing.name, calls);
        calls = 0;
        std::set_new_handler(hands_over);
        CHECK(fails_with<std::bad_alloc>(failing) != failing.nothrow && calls == 101, "%s: %d calls", failing.name, calls);
    }
    // Under a limit, a handler that gives memory back lets new succeed.
    std::size_t large = std::size_t(300) << 20;
    reserve = malloc(large);
    CHECK(reserve, "300 MB");
    if (opaque(malloc(large)) != nullptr) return 0; // this program was started without a limit
    calls = 0;
    std::set_new_handler(makes_room);
    void *block = ::operator new(large);
    CHECK(block && calls == 1, "%d calls", calls);
    ::operator delete(block);
}
