/* fork takes the C library's list of open files; a thread that flushes all files holds that list while it allocates.
   If the allocator held a lock of its own throughout fork, the two would wait for each other without end. Fork
   handlers that were registered before the allocator's run after them, and allocate too. */
#include "check.h"

enum { FORKS = 1000, FLUSHERS = 2 };
static int stop;
static void *from_handlers[3];

static void prepare(void) { from_handlers[0] = malloc(1000); }
static void parent(void) {
    free(from_handlers[0]);
    free(malloc(300000));
}
static void child_side(void) { free(from_handlers[0]); }
static void register_first(void) {
    if (pthread_atfork(prepare, parent, child_side) != 0) _exit(2);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = register_first;

static void *flush(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        char *text = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&text, &size);
        CHECK(file, "open_memstream");
        for (int i = 0; i < 40; i++) {
            fprintf(file, "%*d", 100 + i * 10, i);
            fflush(NULL);
        }
        fclose(file);
        free(text);
    }
    return unused;
}

int main(void) {
    pthread_t threads[FLUSHERS];
    for (int i = 0; i < FLUSHERS; i++) threads[i] = start(flush, NULL);
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(HANGS_AFTER);
            FILE *file = fopen("/dev/null", "w");
            fprintf(file, "%d", i);
            fclose(file);
            free(malloc(i));
            _exit(0);
        }
        reap(child);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < FLUSHERS; i++) join(threads[i]);
    return 0;
}
