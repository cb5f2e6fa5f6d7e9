// All twenty operators: eight of new, twelve of delete. Each new gives a usable block, aligned as asked, that each
// matching delete takes; all of them share the heap of malloc.
#include "../c/check.h"
#include <cstdint>
#include <initializer_list>
#include <new>

static const std::size_t ALIGNMENTS[] = {1, 8, 16, 32, 64, 256, 4096, 65536, 1 << 21};

static void check(void *block, std::size_t size, std::size_t alignment, const char *what) {
    CHECK(block && reinterpret_cast<std::uintptr_t>(block) % alignment == 0, "%s(%zu) is %p", what, size, block);
    CHECK(malloc_usable_size(block) >= size, "%s(%zu) is not of this heap", what, size);
    memset(block, 0x55, size);
}

#define CHECKED(call, alignment)                                                                                       \
    ({                                                                                                                 \
        void *block_ = call;                                                                                           \
        check(block_, size, alignment, #call);                                                                         \
        block_;                                                                                                        \
    })

static void plain(std::size_t size) {
    // Compilers assume this of operator new, whatever the size.
    std::size_t natural = 16;
    auto one = [&](bool nothrow) {
        return nothrow ? CHECKED(::operator new(size, std::nothrow), natural) : CHECKED(::operator new(size), natural);
    };
    auto many = [&](bool nothrow) {
        return nothrow ? CHECKED(::operator new[](size, std::nothrow), natural) : CHECKED(::operator new[](size), natural);
    };
    for (bool nothrow : {false, true}) {
        ::operator delete(one(nothrow));
        ::operator delete(one(nothrow), size);
        ::operator delete(one(nothrow), std::nothrow);
        ::operator delete[](many(nothrow));
        ::operator delete[](many(nothrow), size);
        ::operator delete[](many(nothrow), std::nothrow);
        free(one(nothrow));
    }
}

static void aligned(std::size_t size, std::size_t alignment) {
    auto align = std::align_val_t(alignment);
    auto one = [&](bool nothrow) {
        return nothrow ? CHECKED(::operator new(size, align, std::nothrow), alignment)
                       : CHECKED(::operator new(size, align), alignment);
    };
    auto many = [&](bool nothrow) {
        return nothrow ? CHECKED(::operator new[](size, align, std::nothrow), alignment)
                       : CHECKED(::operator new[](size, align), alignment);
    };
    for (bool nothrow : {false, true}) {
        ::operator delete(one(nothrow), align);
        ::operator delete(one(nothrow), size, align);
        ::operator delete(one(nothrow), align, std::nothrow);
        ::operator delete[](many(nothrow), align);
        ::operator delete[](many(nothrow), size, align);
        ::operator delete[](many(nothrow), align, std::nothrow);
    }
}

int main() {
    for (int i = 0; i < SIZE_COUNT; i++) {
        plain(SIZES[i]);
        for (std::size_t alignment : ALIGNMENTS) aligned(SIZES[i], alignment);
    }
    auto align = std::align_val_t(64);
    ::operator delete(nullptr);
    ::operator delete[](nullptr);
    ::operator delete(nullptr, std::size_t(10));
    ::operator delete[](nullptr, std::size_t(10));
    ::operator delete(nullptr, std::nothrow);
    ::operator delete[](nullptr, std::nothrow);
    ::operator delete(nullptr, align);
    ::operator delete[](nullptr, align);
    ::operator delete(nullptr, 10, align);
    ::operator delete[](nullptr, 10, align);
    ::operator delete(nullptr, align, std::nothrow);
    ::operator delete[](nullptr, align, std::nothrow);
}
