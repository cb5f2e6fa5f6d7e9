// The slow half of every operator new: allocates, and where that fails runs the loop over the new-handler and throws
// std::bad_alloc.
//
// Only here do exceptions pass through the library, which is why this file is C++: handlers throw, and a nothrow
// operator new must catch what they throw. The exported operators are Rust, built without unwinding, so they end in a
// tail jump to `hak_new_slow`; none of their frames is on the stack when an exception leaves it.
//
// The library needs no C++ runtime: it refers to all its symbols weakly, and they are null in a program without a
// runtime. Weak references do not reach a runtime that came with a plugin (dlopen, RTLD_LOCAL), so that one is looked
// up by its name.

#include <cstddef>
#include <cstdlib>
#include <dlfcn.h>
#include <new>

// All symbols that the compiler uses for `throw`, `catch` and unwinding.
__asm__(".irp name, __gxx_personality_v0, __cxa_allocate_exception, __cxa_throw, __cxa_begin_catch, __cxa_end_catch, "
        "_Unwind_Resume, _ZTISt9bad_alloc, _ZTVSt9bad_alloc, _ZNSt9bad_allocD1Ev\n"
        ".weak \\name\n"
        ".endr");

namespace {

// Some of the same symbols, and two others, declared where the code must ask whether they are there.
extern "C" {
[[gnu::weak]] void linked_throw() __asm__("__cxa_throw");
[[gnu::weak]] extern char linked_bad_alloc __asm__("_ZTISt9bad_alloc");
[[gnu::weak]] std::new_handler linked_get_new_handler() noexcept __asm__("_ZSt15get_new_handlerv");
[[gnu::weak]] void *linked_dlsym(void *handle, const char *name) noexcept __asm__("dlsym");
}

// A function of the Rust half: returns a block, or null with errno set. `align` 0 means the default alignment.
using Allocate = void *(*)(std::size_t size, std::size_t align) noexcept;
// A function of the Rust half: reports that there is no C++ runtime to throw with, and ends the process.
using GiveUp = void (*)() noexcept;

// Looks `name` up in a C++ runtime that is loaded but not visible to this library; null if there is none. Its handle is
// never closed, so what was found stays valid.
template <typename Function> Function hidden_runtime(const char *name) {
  // dlopen is looked up by dlsym: naming it would make every static link warn.
  auto open = linked_dlsym ? reinterpret_cast<decltype(&dlopen)>(linked_dlsym(RTLD_DEFAULT, "dlopen")) : nullptr;
  if (open == nullptr) return nullptr;
  static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
  for (const char *library : libraries) {
    void *handle = open(library, RTLD_NOLOAD | RTLD_LAZY);
    if (handle == nullptr) continue;
    if (void *found = linked_dlsym(handle, name)) return reinterpret_cast<Function>(found);
  }
  return nullptr;
}

[[noreturn]] void throw_bad_alloc(GiveUp give_up) {
  if (linked_throw && &linked_bad_alloc) throw std::bad_alloc();
  if (auto runtime_throw = hidden_runtime<void (*)()>("_ZSt17__throw_bad_allocv")) runtime_throw();
  // The program has no C++ runtime, or a static one without the code to throw.
  give_up();
  std::abort();
}

std::new_handler current_handler() {
  auto get = linked_get_new_handler;
  if (get == nullptr) get = hidden_runtime<decltype(get)>("_ZSt15get_new_handlerv");
  return get ? get() : nullptr;
}

// Calls the handler and allocates again, until that succeeds or no handler is installed; null in the second case.
[[gnu::noinline]] void *ask_handler(std::size_t size, std::size_t align, Allocate allocate) {
  while (std::new_handler handler = current_handler()) {
    handler();
    if (void *block = allocate(size, align)) return block;
  }
  return nullptr;
}

// Serves a nothrow new in a program whose runtime is hidden. A `catch` of this library would not work there, but the
// runtime's does: its nothrow operators call the throwing ones, which are this library's, and catch what these throw.
[[gnu::noinline]] void *caught_by_hidden_runtime(std::size_t size, std::size_t align) {
  using Plain = void *(*)(std::size_t, const std::nothrow_t &) noexcept;
  using Aligned = void *(*)(std::size_t, std::size_t, const std::nothrow_t &) noexcept;
  if (align == 0) {
    auto plain = hidden_runtime<Plain>("_ZnwmRKSt9nothrow_t");
    return plain ? plain(size, std::nothrow_t()) : nullptr;
  }
  auto aligned = hidden_runtime<Aligned>("_ZnwmSt11align_val_tRKSt9nothrow_t");
  return aligned ? aligned(size, align, std::nothrow_t()) : nullptr;
}

} // namespace

// Every operator new jumps here with a request that it cannot serve at once. `align` 0 means the default alignment.
extern "C" [[gnu::visibility("hidden")]] void *hak_new_slow(std::size_t size, std::size_t align, int nothrow,
                                                            Allocate allocate, GiveUp give_up) {
  if (void *block = allocate(size, align)) return block;
  if (!nothrow) {
    if (void *block = ask_handler(size, align, allocate)) return block;
    throw_bad_alloc(give_up);
  }
  if (!linked_throw) return caught_by_hidden_runtime(size, align);
  try {
    return ask_handler(size, align, allocate);
  } catch (...) {
    return nullptr;
  }
}

// The tables of Rust's precompiled core refer to this name, although the library never unwinds its code. An unoptimised
// build keeps these tables. In a program that has Rust's own function of this name, that one is used.
extern "C" [[gnu::weak, gnu::visibility("hidden")]] void rust_eh_personality() { std::abort(); }
