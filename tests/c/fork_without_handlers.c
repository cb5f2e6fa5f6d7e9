/* Children of a threaded program that were made without fork handlers: by _Fork, and by the system call. Locks of
   threads that do not exist in the child must not stop it. */
#include "busy.h"
#include <sys/syscall.h>

pid_t _Fork(void);

enum { FORKS = 1000, THREADS = 4 };

int main(void) {
    start_busy(THREADS);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = i % 2 ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
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
