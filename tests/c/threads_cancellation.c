/* No function of the allocator is a cancellation point, and threads that are cancelled leave nothing broken. */
#include "check.h"

static int passed;

static void *allocate_while_cancelled(void *unused) {
    pthread_cancel(pthread_self());
    for (int i = 0; i < SIZE_COUNT; i++) {
        void *block = calloc(1, SIZES[i]);
        block = realloc(block, SIZES[i] + 1000);
        free(block);
        free(aligned_alloc(1 << 16, SIZES[i]));
    }
    malloc_trim(0);
    passed = 1;
    pthread_testcancel();
    passed = 2;
    return unused;
}

static void *churn(void *unused) {
    for (unsigned i = 0;; i++) {
        void *block = malloc(i * 37 % 70000);
        pthread_cleanup_push(free, block);
        pthread_testcancel();
        pthread_cleanup_pop(1);
    }
    return unused;
}

int main(void) {
    CHECK(join(start(allocate_while_cancelled, NULL)) == PTHREAD_CANCELED, "the thread was not cancelled");
    CHECK(passed == 1, "the thread was cancelled at stage %d", passed);
    for (int round = 0; round < 100; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) threads[i] = start(churn, NULL);
        for (int i = 0; i < 20; i++) free(malloc(round * 100 + i));
        for (int i = 0; i < 4; i++) pthread_cancel(threads[i]);
        for (int i = 0; i < 4; i++) CHECK(join(threads[i]) == PTHREAD_CANCELED, "a thread was not cancelled");
    }
    return 0;
}
