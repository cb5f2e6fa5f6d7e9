/* Keys, exit and fork handlers that are registered before the first allocation allocate themselves once there are more
   than the C library has room for; so do values of keys from the 32nd on. */
#include "check.h"

enum { KEYS = 200 };
static pthread_key_t keys[KEYS];
static int handlers;

static void count(void) { handlers++; }

static void preinit(void) {
    for (int i = 0; i < KEYS; i++)
        if (pthread_key_create(&keys[i], free) != 0) _exit(2);
    for (int i = 0; i < 100; i++)
        if (atexit(count) != 0 || pthread_atfork(count, NULL, NULL) != 0) _exit(3);
    for (int i = KEYS - 1; i >= 0; i--)
        if (pthread_setspecific(keys[i], malloc(i)) != 0) _exit(4);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

static void *use_keys(void *unused) {
    for (int i = KEYS - 1; i >= 0; i--)
        CHECK(pthread_setspecific(keys[i], malloc(i)) == 0, "key %d", i);
    return unused;
}

int main(void) {
    for (int i = 0; i < 50; i++) join(start(use_keys, NULL));
    pid_t child = fork();
    if (child == 0) _exit(pthread_getspecific(keys[KEYS - 1]) == NULL);
    reap(child);
    CHECK(handlers == 100, "%d fork handlers ran", handlers);
    return 0;
}
