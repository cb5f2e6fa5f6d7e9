/* Contexts of execution that go from thread to thread, as those of coroutines do: each frees in one thread what it
   allocated in another, and goes on in a third. Thread-local data that a context found before a switch belongs to
   another thread after it. */
#include "check.h"
#include <ucontext.h>

enum { CONTEXTS = 32, THREADS = 4, TURNS = 2000, STACK = 1 << 16 };

struct context {
    ucontext_t own, *thread;
    int done;
    char *stack;
};
static struct context contexts[CONTEXTS];
static pthread_barrier_t turn;

static void live(int number) {
    struct context *self = &contexts[number];
    unsigned state = number + 1;
    unsigned char *blocks[8] = {0};
    size_t sizes[8];
    while (!self->done) {
        int at = next(&state) % 8;
        if (blocks[at]) CHECK(filled(blocks[at], sizes[at], number), "a block of context %d", number);
        free(blocks[at]);
        swapcontext(&self->own, self->thread);
        sizes[at] = next(&state) % (at ? 300 : 50000);
        blocks[at] = malloc(sizes[at]);
        CHECK(blocks[at], "malloc(%zu)", sizes[at]);
        fill(blocks[at], sizes[at], number);
    }
    for (int i = 0; i < 8; i++) free(blocks[i]);
    for (;;) swapcontext(&self->own, self->thread);
}

/* In round t thread n runs the contexts c for which c + t is n, modulo the number of threads: another thread each time. */
static void *run(void *number) {
    ucontext_t here;
    for (int t = 0; t < TURNS; t++) {
        for (int c = 0; c < CONTEXTS; c++) {
            if ((c + t) % THREADS != (int)(intptr_t)number) continue;
            contexts[c].thread = &here;
            contexts[c].done = t >= TURNS - 2 * THREADS;
            swapcontext(&here, &contexts[c].own);
        }
        pthread_barrier_wait(&turn);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&turn, NULL, THREADS);
    for (int c = 0; c < CONTEXTS; c++) {
        getcontext(&contexts[c].own);
        contexts[c].stack = malloc(STACK);
        contexts[c].own.uc_stack.ss_sp = contexts[c].stack;
        contexts[c].own.uc_stack.ss_size = STACK;
        makecontext(&contexts[c].own, (void (*)(void))live, 1, c);
    }
    for (intptr_t n = 0; n < THREADS; n++) threads[n] = start(run, (void *)n);
    for (int n = 0; n < THREADS; n++) join(threads[n]);
    for (int c = 0; c < CONTEXTS; c++) free(contexts[c].stack);
    return 0;
}
