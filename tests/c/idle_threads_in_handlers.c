/* A thread that sleeps in a signal handler waits for work as far as the kernel can tell, but the handler may have interrupted it anywhere in
   the allocator: what its heap has at hand must stay. It sleeps after each of the first instructions of malloc and free, and many later
   ones, and meanwhile the main thread trims. argv[1] says how the handler is registered: "deferred"; "undeferred" where its signal is
   not blocked while it runs; "one-shot" where it is the handler no longer once it runs either, and registers itself anew. */
#include "steps.h"

enum { EACH_OF = 1500, THEN_EVERY = 13, BLOCKS = 64 };
static int asleep, may_go, done, steps, flags;

static void sleep_here(void) {
    int passes = steps++ > EACH_OF && steps % THEN_EVERY;
    if (!passes) {
        __atomic_store_n(&may_go, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&may_go, __ATOMIC_ACQUIRE)) usleep(200);
    }
    if (flags & SA_RESETHAND) handle_steps(flags, sleep_here);
}

static void *work(void *unused) {
    static unsigned char *blocks[BLOCKS];
    unsigned state = 1;
    handle_steps(flags, sleep_here);
    for (int i = 0; i < 3 * BLOCKS; i++) {
        int at = next(&state) % BLOCKS;
        size_t size = 24 + at * 3;
        if (blocks[at]) CHECK(filled(blocks[at], size, at), "block %d changed", at);
        step(1);
        free(blocks[at]);
        blocks[at] = malloc(size);
        step(0);
        CHECK(blocks[at], "malloc(%zu)", size);
        for (int other = 0; other < BLOCKS; other++) CHECK(other == at || blocks[other] != blocks[at], "two blocks in one place");
        fill(blocks[at], size, at);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return unused;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "deferred";
    flags = !strcmp(how, "one-shot") ? SA_NODEFER | SA_RESETHAND : !strcmp(how, "undeferred") ? SA_NODEFER : 0;
    pthread_t thread = start(work, NULL);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        if (!__atomic_exchange_n(&asleep, 0, __ATOMIC_ACQ_REL)) {
            usleep(50);
            continue;
        }
        malloc_trim(0);
        malloc_trim(0);
        __atomic_store_n(&may_go, 1, __ATOMIC_RELEASE);
    }
    join(thread);
    CHECK(steps > 1000, "%d steps", steps);
    printf("%d steps\n", steps);
    return 0;
}
