// Blocks are deleted with the size that they were asked for, whatever it is, by the thread that asked and by another one. Nothing is
// said about that.
#include "../c/check.h"
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static void sizes(bool elsewhere) {
    struct Given {
        void *block;
        std::size_t size;
    };
    std::vector<Given> given;
    auto ask = [&](std::size_t size) { given.push_back({opaque(::operator new(size)), size}); };
    for (std::size_t size = 0; size < 2000; size++) ask(size);
    for (std::size_t size = 2000; size < 40000; size += 7) ask(size);
    for (std::size_t size : {32768, 32769, 65536, 65537, 100000, 1 << 20, (1 << 20) + 1, 5 << 20}) ask(size);
    auto give_back = [&] {
        for (Given &one : given) ::operator delete(one.block, one.size);
    };
    if (elsewhere) {
        std::thread(give_back).join();
    } else {
        give_back();
    }
}

// What the compiler says of a block with a number of objects in front of them.
template <std::size_t SIZE> struct Thing {
    char bytes[SIZE];
    ~Thing() { opaque(this); }
};

template <std::size_t SIZE> static void arrays() {
    for (int count = 0; count < 200; count++) {
        delete[] static_cast<Thing<SIZE> *>(opaque(new Thing<SIZE>[count]));
        delete[] static_cast<char(*)[SIZE]>(opaque(new char[count + 1][SIZE]));
    }
    delete static_cast<Thing<SIZE> *>(opaque(new Thing<SIZE>));
}

struct alignas(64) Wide {
    char bytes[64];
    ~Wide() { opaque(this); }
};

struct Base {
    virtual ~Base() = default;
};
struct Derived : Base {
    char bytes[500];
};

// It is deleted where its size is not known.
struct Unknown;
static void destroy(Unknown *object) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdelete-incomplete"
    delete object;
#pragma GCC diagnostic pop
}
struct Unknown {
    char bytes[300];
};

int main() {
    ::operator delete(nullptr, std::size_t(24));
    ::operator delete[](nullptr, std::size_t(24));
    for (int turn = 0; turn < 3; turn++) {
        sizes(false);
        sizes(true);
    }
    arrays<1>();
    arrays<7>();
    arrays<24>();
    arrays<300>();
    for (int count = 0; count < 100; count++) delete[] static_cast<Wide *>(opaque(new Wide[count]));
    delete static_cast<Wide *>(opaque(new Wide));
    delete static_cast<Base *>(opaque(static_cast<Base *>(new Derived)));
    destroy(static_cast<Unknown *>(opaque(new Unknown)));
    std::vector<std::string> words;
    std::map<int, std::shared_ptr<std::string>> tree;
    for (int i = 0; i < 1000; i++) {
        words.push_back(std::string(i, 'x'));
        tree[i] = std::make_shared<std::string>(i, 'y');
    }
    return 0;
}
