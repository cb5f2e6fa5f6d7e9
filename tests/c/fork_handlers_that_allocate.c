/* Fork handlers allocate and free in all three phases, registered before the allocator's and after them, while other
   threads are busy. What one phase allocates, another frees. */
#include "busy.h"

enum { FORKS = 300, THREADS = 3 };
static void *blocks[2][SIZE_COUNT];

static void prepare(int which) {
    for (int i = 0; i < SIZE_COUNT; i += 2) blocks[which][i] = malloc(SIZES[i]);
}
static void release(int which) {
    for (int i = 0; i < SIZE_COUNT; i += 2) {
        free(realloc(blocks[which][i], SIZES[i] / 2 + 1));
        free(malloc(SIZES[i]));
    }
}

static void prepare_first(void) { prepare(0); }
static void prepare_last(void) { prepare(1); }
static void release_first(void) { release(0); }
static void release_last(void) { release(1); }
static void register_first(void) {
    if (pthread_atfork(prepare_first, release_first, release_first) != 0) _exit(2);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = register_first;

int main(void) {
    pthread_atfork(prepare_last, release_last, release_last);
    start_busy(THREADS);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(HANGS_AFTER);
            use_heap(NULL);
            _exit(0);
        }
        reap(child);
    }
    stop_busy(THREADS);
    return 0;
}
