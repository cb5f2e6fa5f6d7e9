/* The main thread ends before the others, which go on with its blocks; the program ends with the last of them. */
#include "check.h"

enum { THREADS = 3, ROUNDS = 200 };
static pthread_t main_thread;
static void *blocks[SIZE_COUNT];

static void *go_on(void *number) {
    if (number == NULL) {
        CHECK(pthread_join(main_thread, NULL) == 0, "the main thread ends");
        for (int i = 0; i < SIZE_COUNT; i++) {
            CHECK(filled(blocks[i], SIZES[i], i), "the main thread's block of %zu bytes", SIZES[i]);
            free(blocks[i]);
        }
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < SIZE_COUNT; i += 2) free(realloc(malloc(SIZES[i]), SIZES[i] / 2 + 1));
    return NULL;
}

int main(void) {
    main_thread = pthread_self();
    for (int i = 0; i < SIZE_COUNT; i++) {
        blocks[i] = malloc(SIZES[i]);
        fill(blocks[i], SIZES[i], i);
    }
    for (intptr_t i = 0; i < THREADS; i++) start(go_on, (void *)i);
    pthread_exit(NULL);
}
