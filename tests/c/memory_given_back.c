/* Freed memory goes back: when everything is freed, malloc_trim takes the process to within 4 MB of its start.
   argv[1] says which thread frees: "alone" one thread, in random order; "exited" eight threads their own, before they
   end; "others" the main thread, while the eight owners sleep. */
#include "check.h"

enum { THREADS = 8, BLOCKS = 60000 };

static void *blocks[THREADS][BLOCKS];
static pthread_barrier_t ready, done;
static int owners_free;

static void allocate(int thread) {
    unsigned state = thread + 1;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = next(&state) % 1000 ? next(&state) % 1000 : next(&state) % 300000;
        blocks[thread][i] = malloc(size);
        memset(blocks[thread][i], 1, size);
    }
}

static void *work(void *argument) {
    int thread = (int)(intptr_t)argument;
    allocate(thread);
    if (owners_free) {
        free_shuffled(blocks[thread], BLOCKS);
        return NULL;
    }
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&done);
    return NULL;
}

int main(int argc, char **argv) {
    const char *who = argc > 1 ? argv[1] : "alone";
    pthread_t threads[THREADS];
    memset(blocks, 1, sizeof blocks);
    free(malloc(1));
    size_t before = resident(), after = 0;
    if (!strcmp(who, "alone")) {
        for (int i = 0; i < THREADS; i++) allocate(i);
        CHECK(resident() > before + (100 << 20), "the program was large");
        for (int i = 0; i < THREADS; i++) free_shuffled(blocks[i], BLOCKS);
        malloc_trim(0);
        after = resident();
    } else {
        owners_free = !strcmp(who, "exited");
        pthread_barrier_init(&ready, NULL, THREADS + 1);
        pthread_barrier_init(&done, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(intptr_t)i);
        if (!owners_free) {
            pthread_barrier_wait(&ready);
            CHECK(resident() > before + (100 << 20), "the program was large");
            for (int i = 0; i < THREADS; i++) free_shuffled(blocks[i], BLOCKS);
            wait_for_sleep();
            malloc_trim(0);
            after = resident();
            pthread_barrier_wait(&done);
        }
        for (int i = 0; i < THREADS; i++) join(threads[i]);
        if (owners_free) {
            malloc_trim(0);
            after = resident();
        }
    }
    CHECK(after < before + (4 << 20), "%zu KB more than at the start", (after - before) >> 10);
    return 0;
}
