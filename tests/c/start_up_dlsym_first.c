/* dlsym and dlerror allocate: as a program's very first calls they must not send the allocator in circles. */
#include "check.h"
#include <dlfcn.h>

static const char *message;

static void preinit(void) {
    if (dlsym(RTLD_NEXT, "no_such_symbol_anywhere") == NULL) message = dlerror();
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

int main(void) {
    CHECK(message && strstr(message, "no_such_symbol_anywhere"), "dlerror says %s", message);
    CHECK(dlsym(RTLD_DEFAULT, "malloc") != NULL, "malloc is not found");
    return 0;
}
