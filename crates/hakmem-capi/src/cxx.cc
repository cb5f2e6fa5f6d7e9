// The slow half of every operator new: allocate, and when there is nothing, the new-handler loop and std::bad_alloc.
//
// This is the one place of the library that exceptions pass through, and the reason it is C++: handlers throw, and a
// nothrow operator new must catch what they throw. The exported operators are Rust, built without unwinding, so they
// end in a tail jump to `hak_new_slow`; none of their frames is on the stack when an exception leaves it.
//
// The library needs no C++ runtime: every symbol of one is a weak reference, null in a program without it. A runtime
// that came with a plugin (dlopen, RTLD_LOCAL) is out of reach of weak references and is looked up by its name.

#include <cstddef>
#include <cstdlib>
#include <dlfcn.h>
#include <new>

// Everything the compiler refers to for `throw`, `catch` and unwinding.
__asm__(".irp name, __gxx_personality_v0, __cxa_allocate_exception, __cxa_throw, __cxa_begin_catch, __cxa_end_catch, "
        "_Unwind_Resume, _ZTISt9bad_alloc, _ZTVSt9bad_alloc, _ZNSt9bad_allocD1Ev\n"
        ".weak \\name\n"
        ".endr");

namespace {

// The same symbols once more where the code must ask whether they are there.
extern "C" {
[[gnu::weak]] void linked_throw() __asm__("__cxa_throw");
[[gnu::weak]] extern char linked_bad_alloc __asm__("_ZTISt9bad_alloc");
[[gnu::weak]] std::new_handler linked_get_new_handler() noexcept __asm__("_ZSt15get_new_handlerv");
[[gnu::weak]] void *linked_dlsym(void *handle, const char *name) noexcept __asm__("dlsym");
}

// Rust's part: a block, or null with errno set. `align` 0 asks for the default alignment.
using Allocate = void *(*)(std::size_t size, std::size_t align) noexcept;
// The same: says that there is no C++ runtime to throw with, and ends the process.
using GiveUp = void (*)() noexcept;

// Looks `name` up in a C++ runtime that is loaded but not visible to us; null if there is none. Its handle is kept, so
// that what was found stays valid.
template <typename Function> Function hidden_runtime(const char *name) {
  // dlopen by way of dlsym: naming it would make every static link warn.
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
  // A program with no C++ runtime, or a static one that links no code to throw with.
  give_up();
  std::abort();
}

std::new_handler current_handler() {
  auto get = linked_get_new_handler;
  if (get == nullptr) get = hidden_runtime<decltype(get)>("_ZSt15get_new_handlerv");
  return get ? get() : nullptr;
}

// Asks the program to free something, for as long as it has a handler installed; null when it has none.
[[gnu::noinline]] void *ask_handler(std::size_t size, std::size_t align, Allocate allocate) {
  while (std::new_handler handler = current_handler()) {
    handler();
    if (void *block = allocate(size, align)) return block;
  }
  return nullptr;
}

// A nothrow new in a program whose runtime is hidden from us. Our own `catch` would not work, the runtime's does: its
// nothrow operators call the throwing ones, which are ours, and catch what comes out.
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

// Jumped to by every operator new that cannot serve a request at once. `align` 0 is the default alignment.
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

// Named by the tables of Rust's precompiled core, whose code the library never unwinds. An unoptimised build keeps these
// tables and needs the name; in a program that has Rust's own, that one counts.
extern "C" [[gnu::weak, gnu::visibility("hidden")]] void rust_eh_personality() { std::abort(); }
