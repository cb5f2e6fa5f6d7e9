/* 2,000 forks of a program in which six threads allocate and free without pause. Every child allocates, frees what its
   parent allocated, and starts a thread; a child that hangs is killed by its alarm and reported. */
#include "busy.h"

enum { FORKS = 2000, THREADS = 6, AT_ONCE = 16 };

int main(void) {
    start_busy(THREADS);
    for (int i = 0; i < FORKS + AT_ONCE; i++) {
        if (i >= AT_ONCE) reap(-1);
        if (i >= FORKS) continue;
        pid_t child = fork();
        CHECK(child >= 0, "no child was made");
        if (child == 0) {
            alarm(HANGS_AFTER);
            use_heap(NULL);
            join(start(use_heap, NULL));
            _exit(0);
        }
    }
    stop_busy(THREADS);
    return 0;
}
