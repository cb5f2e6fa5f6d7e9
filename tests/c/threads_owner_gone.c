/* Blocks freed by another thread go back to the system although the thread that allocated them sleeps, or has ended.
   argv[1]: "blocked" or "exited". */
#include "check.h"

enum { BLOCKS = 400000, SIZE = 300 };
static char **blocks;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t allocated;

static void *allocate(void *blocked) {
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], i, SIZE);
    }
    if (blocked) {
        pthread_barrier_wait(&allocated);
        pthread_mutex_lock(&gate); /* until the end of the program */
    }
    return NULL;
}

int main(int argc, char **argv) {
    int blocked = argc > 1 && strcmp(argv[1], "blocked") == 0;
    blocks = malloc(BLOCKS * sizeof *blocks);
    memset(blocks, 1, BLOCKS * sizeof *blocks);
    pthread_mutex_lock(&gate);
    pthread_barrier_init(&allocated, NULL, 2);
    size_t before = resident();
    pthread_t thread = start(allocate, blocked ? &gate : NULL);
    if (blocked)
        pthread_barrier_wait(&allocated);
    else
        join(thread);
    size_t full = resident();
    CHECK(full - before > (size_t)BLOCKS * SIZE, "only %zu KB were touched", (full - before) >> 10);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    malloc_trim(0);
    size_t after = resident();
    CHECK(after < before + (8 << 20), "%zu KB of %zu KB are still resident", (after - before) >> 10, (full - before) >> 10);
    return 0;
}
