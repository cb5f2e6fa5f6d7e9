/* A child forks a child, thirty generations deep, each with threads of its own: memory that is set aside at a fork is
   set aside once, and not again in each generation. */
#include "busy.h"

enum { GENERATIONS = 30, THREADS = 3 };

static void generation(int left) {
    start_busy(THREADS);
    use_heap(NULL);
    pid_t child = left ? fork() : 0;
    if (child == 0) {
        alarm(HANGS_AFTER);
        if (left) generation(left - 1);
        CHECK(resident() < (200 << 20), "%zu MB resident in the last generation", resident() >> 20);
        _exit(0);
    }
    stop_busy(THREADS);
    reap(child);
}

int main(void) {
    generation(GENERATIONS);
    return 0;
}
