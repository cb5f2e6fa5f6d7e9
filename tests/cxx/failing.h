// The eight operators of new on a size that cannot be had, and what comes of each.
#ifndef FAILING_H
#define FAILING_H

#include "../c/check.h"
#include <cstdint>
#include <functional>
#include <new>

struct Failing {
    const char *name;
    bool nothrow;
    std::function<void *()> call;
};

inline const std::size_t IMPOSSIBLE = std::size_t(1) << 60;

inline const Failing FAILING[] = {
    {"new", false, [] { return ::operator new(opaque_size(IMPOSSIBLE)); }},
    {"new[]", false, [] { return ::operator new[](opaque_size(IMPOSSIBLE)); }},
    {"new, aligned", false, [] { return ::operator new(opaque_size(IMPOSSIBLE), std::align_val_t(64)); }},
    {"new[], aligned", false, [] { return ::operator new[](opaque_size(IMPOSSIBLE), std::align_val_t(64)); }},
    {"new, nothrow", true, [] { return ::operator new(opaque_size(IMPOSSIBLE), std::nothrow); }},
    {"new[], nothrow", true, [] { return ::operator new[](opaque_size(IMPOSSIBLE), std::nothrow); }},
    {"new, aligned, nothrow", true,
     [] { return ::operator new(opaque_size(IMPOSSIBLE), std::align_val_t(64), std::nothrow); }},
    {"new[], aligned, nothrow", true,
     [] { return ::operator new[](opaque_size(IMPOSSIBLE), std::align_val_t(64), std::nothrow); }},
};

#endif
