/* A thread that is cancelled while it prints the allocator's numbers leaves nothing locked: others print and allocate
   after it. */
#include "check.h"

static FILE *nowhere;

static void *report(void *cancelled) {
    if (cancelled) pthread_cancel(pthread_self());
    malloc_stats();
    malloc_info(0, nowhere);
    pthread_testcancel();
    free(malloc(100000));
    return NULL;
}

int main(void) {
    CHECK((nowhere = fopen("/dev/null", "w")) != NULL && freopen("/dev/null", "w", stderr) != NULL, "/dev/null");
    for (int round = 0; round < 20; round++) {
        CHECK(join(start(report, nowhere)) == PTHREAD_CANCELED, "the thread was not cancelled");
        CHECK(join(start(report, NULL)) == NULL, "the thread after it");
    }
    fclose(nowhere);
    return 0;
}
