/* The caches of idle threads are taken from them, and they never notice: eight threads check every byte of their
   blocks while they sleep now and then, and the main thread trims all the time. argv[1] says where they sleep:
   "between" calls; "handler" in a signal handler, which interrupts them anywhere, also inside malloc; "undeferred" in
   a handler whose signal is not blocked while it runs. */
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { THREADS = 8, SLOTS = 300, OPERATIONS = 50000, LARGEST = 400, ENOUGH = 300 };

static const char *where = "between";
static atomic_int at_work = THREADS;
static atomic_long slept;
static atomic_int signalled[THREADS];
static __thread int number;

static void doze(void) {
    struct timespec time = {0, 200000};
    nanosleep(&time, NULL);
    slept++;
}

static void handler(int signal) {
    (void)signal;
    doze();
    signalled[number] = 0;
}

static void *work(void *argument) {
    number = (int)(intptr_t)argument;
    unsigned state = number + 1;
    unsigned char *blocks[SLOTS] = {0};
    size_t sizes[SLOTS];
    for (int i = 0; i < OPERATIONS || slept < ENOUGH; i++) {
        state = state * 1664525u + 1013904223u;
        int slot = (state >> 8) % SLOTS;
        if (blocks[slot]) {
            CHECK(filled(blocks[slot], sizes[slot], slot), "a block changed");
            free(blocks[slot]);
        }
        sizes[slot] = 1 + (state >> 12) % LARGEST;
        blocks[slot] = malloc(sizes[slot]);
        fill(blocks[slot], sizes[slot], slot);
        if (!strcmp(where, "between") && i % 300 == 0) doze();
    }
    for (int i = 0; i < SLOTS; i++) free(blocks[i]);
    at_work--;
    while (at_work >= 0) usleep(1000);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc > 1) where = argv[1];
    struct sigaction action = {.sa_handler = handler};
    if (!strcmp(where, "undeferred")) action.sa_flags = SA_NODEFER;
    if (strcmp(where, "between")) sigaction(SIGUSR1, &action, NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(intptr_t)i);
    for (int round = 0; at_work > 0; round++) {
        int thread = round % THREADS;
        if (strcmp(where, "between") && !signalled[thread]) {
            signalled[thread] = 1;
            pthread_kill(threads[thread], SIGUSR1);
        }
        malloc_trim(0);
    }
    at_work--;
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    return 0;
}
