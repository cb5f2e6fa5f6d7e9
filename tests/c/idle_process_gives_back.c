/* A process that freed everything and idles gives its memory back, with no call of the allocator and no running
   thread: to within 5 % of the peak above its start. argv[1] says which threads free: "owner" the threads their own
   blocks, in random order; "other" each thread its neighbour's; "main" the main thread, while the owners sleep.
   "kept" is "owner" without a scavenger: then the memory stays. argv[2] multiplies the blocks. */
#include "check.h"
#include <sys/mman.h>

enum { THREADS = 8, BLOCKS = 50000 };

static void **blocks[THREADS];
static size_t count = BLOCKS;
static pthread_barrier_t ready, freed, over;
static const char *who = "owner";

static void *work(void *argument) {
    int thread = (int)(intptr_t)argument;
    unsigned state = thread + 1;
    for (size_t i = 0; i < count; i++) {
        size_t size = next(&state) % 780;
        blocks[thread][i] = malloc(size);
        memset(blocks[thread][i], 1, size);
    }
    pthread_barrier_wait(&ready);
    if (!strcmp(who, "owner") || !strcmp(who, "kept")) free_shuffled(blocks[thread], count);
    if (!strcmp(who, "other")) free_shuffled(blocks[(thread + 1) % THREADS], count);
    pthread_barrier_wait(&freed);
    pthread_barrier_wait(&over);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    if (argc > 1) who = argv[1];
    if (argc > 2) count = BLOCKS * strtoul(argv[2], NULL, 10);
    for (int i = 0; i < THREADS; i++) {
        size_t bytes = count * sizeof(void *);
        blocks[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    }
    pthread_barrier_init(&ready, NULL, THREADS + 1);
    pthread_barrier_init(&freed, NULL, THREADS + 1);
    pthread_barrier_init(&over, NULL, THREADS + 1);
    size_t before = resident();
    for (int i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(intptr_t)i);
    pthread_barrier_wait(&ready);
    size_t peak = resident(), bound = before + (peak - before) / 20;
    CHECK(peak > before + (100 << 20), "the program was large");
    if (!strcmp(who, "main")) {
        for (int i = 0; i < THREADS; i++) free_shuffled(blocks[i], count);
    }
    pthread_barrier_wait(&freed);
    time_t began = seconds();
    if (!strcmp(who, "kept")) {
        usleep(2000000);
        CHECK(resident() > bound, "%zu KB are left, but nobody gives anything back", (resident() - before) >> 10);
    } else {
        WAIT_UNTIL(resident() <= bound, "%zu MB at the peak, %zu MB are left", (peak - before) >> 20, (resident() - before) >> 20);
    }
    if (getenv("VERBOSE"))
        printf("%zu MB, %zu KB after %d s\n", (peak - before) >> 20, (resident() - before) >> 10, (int)(seconds() - began));
    pthread_barrier_wait(&over);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    return 0;
}
