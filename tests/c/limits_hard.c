/* At the hard limit an allocation gets NULL and ENOMEM, whichever kind it is; resident memory stays below the limit;
   free memory of any size is given back before anything is refused; and the program's function can prevent the
   refusal. */
#include "check.h"
#include <hakmem.h>

enum { MB = 1 << 20, LIMIT = 96 * MB };

static size_t at_start;
/* Whether no other thread frees what this one is refused. */
static int alone = 1;

static void check_bound(const char *when, size_t size) {
    hak_limits_t limits;
    hak_limits_read(&limits);
    CHECK(limits.used <= LIMIT, "%zu KB are used %s, blocks of %zu", limits.used >> 10, when, size);
    /* The limit does not count memory of the program, of libc and of the page map. */
    CHECK(resident() <= at_start + LIMIT + 2 * MB, "%zu MB are resident %s", resident() >> 20, when);
}

/* Every function that allocates, with `block` as what it is to resize. */
static void refuse_large(void *block) {
    void *out = &out, *kept = out;
    if (!alone) return;
    errno = 0;
    CHECK(calloc(1, LIMIT) == NULL && errno == ENOMEM, "calloc at the limit");
    errno = 0;
    CHECK(aligned_alloc(4096, 50 * MB) == NULL && errno == ENOMEM, "aligned_alloc at the limit");
    errno = 7;
    CHECK(posix_memalign(&out, 4096, 50 * MB) == ENOMEM && errno == 7 && out == kept, "posix_memalign at the limit");
    errno = 0;
    if (block) CHECK(realloc(block, 50 * MB) == NULL && errno == ENOMEM, "realloc at the limit");
}

/* Allocates until it fails, frees all, and returns how much it got. */
static size_t exhaust(size_t size, int odd_first) {
    void **list = NULL, **odd = NULL;
    size_t total = 0;
    for (size_t n = 0;; n++) {
        errno = 0;
        void **block = malloc(size);
        if (block == NULL) break;
        memset(block, 1, size);
        void ***to = n % 2 ? &odd : &list;
        *block = *to;
        *to = block;
        total += size;
        CHECK(total <= LIMIT, "%zu MB in blocks of %zu", total >> 20, size);
    }
    CHECK(errno == ENOMEM, "malloc(%zu)", size);
    check_bound("at the limit", size);
    refuse_large(list);
    /* Half of the spans stay in use for a while, so that slabs in between become free. */
    for (int pass = 0; pass < 2; pass++)
        for (void **block = pass == odd_first ? list : odd, **next; block; block = next) {
            next = *block;
            free(block);
        }
    return total;
}

/* libc declares that malloc calls no function of this file, which is wrong with a function for pressure: hence volatile. */
static void *volatile spare;
static volatile int told;

static void give_spare(void *argument, size_t used, size_t limit) {
    CHECK(argument == NULL && used <= LIMIT && limit == LIMIT, "told of %zu of %zu", used, limit);
    told++;
    free(spare);
    spare = NULL;
}

static void *in_thread(void *size) { return (void *)exhaust((size_t)size, 0); }

/* The first block of a thread: its heap needs memory too. */
static void *first_block(void *unused) {
    void *block = malloc(100);
    CHECK(block, "malloc in a new thread, with everything free");
    free(block);
    return unused;
}

/* Everything is free, in spans that wait for the decay, when threads start that need more than they find. */
static void new_threads_at_the_limit(void) {
    enum { THREADS = 40 };
    pthread_t threads[THREADS];
    static void *blocks[LIMIT / 60000];
    int count = 0;
    while ((blocks[count] = malloc(60000)) != NULL) count++;
    while (count > 0) free(blocks[--count]);
    for (int i = 0; i < THREADS; i++) threads[i] = start(first_block, NULL);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
}

int main(int argc, char **argv) {
    at_start = resident();
    hak_limits_t limits;
    if (argc > 1) {
        hak_limits_read(&limits);
        CHECK(limits.hard == LIMIT && !strcmp(argv[1], "environment"), "%zu bytes from the environment", limits.hard);
    } else {
        CHECK(hak_limits_set(0, LIMIT) == 0, "a limit is set");
    }

    /* Each size after others of which everything is free: nothing of those stands in the way. Twice, so that what was left
       behind would show. */
    static const size_t EXHAUSTED[] = {16, 1000, 9000, 32768, 62000, 300000, 1000000, 5000000, 30000000, 32};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 10; i++) {
            size_t size = EXHAUSTED[i], total = exhaust(size, round);
            size_t least = size > 10000000 ? 60 * MB : size < 9000 ? 72 * MB : 80 * MB;
            CHECK(total > least, "%zu MB in blocks of %zu, round %d", total >> 20, size, round);
        }

    /* A block that grows in place, as far as the limit allows. */
    char *growing = malloc(2 * MB);
    size_t size = 2 * MB;
    for (;;) {
        char *grown = realloc(growing, size + 2 * MB);
        if (grown == NULL) break;
        memset(grown + size, 3, 2 * MB);
        growing = grown;
        size += 2 * MB;
    }
    CHECK(size > 80 * MB && size < LIMIT, "grown to %zu MB", size >> 20);
    check_bound("after growing", size);
    CHECK(growing[3 * MB] == 3 && growing[size - 1] == 3, "contents survive a failed realloc");
    free(growing);

    new_threads_at_the_limit();

    /* Threads share the limit. */
    pthread_t threads[4];
    alone = 0;
    for (int i = 0; i < 4; i++) threads[i] = start(in_thread, (void *)(intptr_t)(100 << (i * 3)));
    for (int i = 0; i < 4; i++) join(threads[i]);
    check_bound("after the threads", 0);

    /* The program's function frees something, and the allocation succeeds after all; when it cannot, it fails. */
    CHECK(hak_on_pressure(give_spare, NULL) == 0, "a function is registered");
    hak_limits_read(&limits);
    size_t refused = limits.hard_times;
    spare = malloc(70 * MB);
    void *block = malloc(60 * MB);
    CHECK(spare == NULL && told == 1 && block, "rescued by the program");
    errno = 0;
    CHECK(malloc(60 * MB) == NULL && errno == ENOMEM && told == 2, "nothing left to free");
    hak_limits_read(&limits);
    CHECK(limits.hard_times == refused + 2, "%zu times at the limit", limits.hard_times - refused);
    free(block);

    CHECK(hak_on_pressure(NULL, NULL) == 0, "the function is taken away");

    /* Without the limit the rest of the machine is there; and below what is used, nothing more is. */
    CHECK(hak_limits_set(0, 0) == 0 && (block = malloc(2 * LIMIT)) != NULL, "no limit");
    CHECK(hak_limits_set(0, MB) == 0, "a limit below what is used");
    CHECK(malloc(5 * MB) == NULL, "nothing more above the limit");
    free(block);
    return 0;
}
