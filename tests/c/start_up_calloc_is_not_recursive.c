/* A compiler may turn an allocation followed by clearing it into a call of calloc, inside calloc too. Every size must
   come back, from fresh and from used memory, on little stack. */
#include "check.h"

static void *clear_all(void *unused) {
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < SIZE_COUNT; i++) {
            char *block = calloc(1, SIZES[i]);
            CHECK(block && all_zero(block, SIZES[i]), "calloc(1, %zu)", SIZES[i]);
            memset(block, 0xff, SIZES[i]);
            free(block);
        }
    return unused;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 32768);
    CHECK(pthread_create(&thread, &attributes, clear_all, NULL) == 0, "no thread");
    join(thread);
    clear_all(NULL);
    return 0;
}
