/* Memory comes back from threads that wait although the program handles signals with SA_NODEFER: from threads that ran such a handler
   before, and wait deep in their stacks. What many threads keep at hand, each a few blocks of many sizes, goes within some passes. */
#include "check.h"
#include <signal.h>

enum { THREADS = 100, SIZES_EACH = 60, BLOCKS = 4 };
static pthread_barrier_t freed, over;

static void handler(int signal) { (void)signal; }

static void *work(void *argument) {
    volatile char deep[100 << 10];
    deep[0] = deep[sizeof deep - 1] = 1;
    void *blocks[SIZES_EACH * BLOCKS];
    raise(SIGUSR1);
    for (int i = 0; i < SIZES_EACH * BLOCKS; i++) {
        size_t size = 64 * (i / BLOCKS + 1);
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
    for (int i = 0; i < SIZES_EACH * BLOCKS; i++) free(blocks[i]);
    pthread_barrier_wait(&freed);
    pthread_barrier_wait(&over);
    return argument;
}

int main(void) {
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NODEFER};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0, "a handler");
    pthread_barrier_init(&freed, NULL, THREADS + 1);
    pthread_barrier_init(&over, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) threads[i] = start(work, NULL);
    pthread_barrier_wait(&freed);
    size_t peak = resident();
    WAIT_UNTIL(resident() <= peak / 2, "%zu KB at the peak, %zu KB are left", peak >> 10, resident() >> 10);
    pthread_barrier_wait(&over);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    return 0;
}
