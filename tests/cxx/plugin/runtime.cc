// A plugin in C++ for a program in C: it brings the C++ runtime with it, out of sight of the rest of the program.
#include "../failing.h"

static int calls;

template <typename Error> static bool fails_with(const Failing &failing) {
    try {
        return failing.call() != nullptr;
    } catch (const Error &) {
        return true;
    }
}

extern "C" int failures() {
    int wrong = 0;
    for (const Failing &failing : FAILING) {
        std::set_new_handler(nullptr);
        wrong += fails_with<std::bad_alloc>(failing) == failing.nothrow;
        calls = 0;
        std::set_new_handler([] {
            if (++calls == 3) throw 3;
        });
        wrong += fails_with<int>(failing) == failing.nothrow;
        wrong += calls % 3 != 0 || calls == 0;
    }
    return wrong;
}
