/* Above the soft limit, given in the environment or by hak_limits_set, free memory goes back, caches are short, and
   the program is told: by a thread that is allocating, with errno kept, and never in the middle of another call.
   Below the limit none of this happens. */
#include "check.h"
#include <hakmem.h>
#include <unistd.h>

enum { MB = 1 << 20, BLOCKS = 2000 };

/* libc declares that malloc calls nothing of this file, which with a function for pressure is not so: hence volatile. */
static void *volatile blocks[BLOCKS];
static volatile int told, inside, recursed, blocks_now, to_free;
static volatile size_t told_used, told_limit;
static void *volatile told_argument;

/* Allocates and frees itself, across every kind of block, and breaks errno. */
static void on_pressure(void *argument, size_t used, size_t limit) {
    recursed += inside;
    inside = 1;
    told++;
    told_argument = argument;
    told_used = used;
    told_limit = limit;
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *block = malloc(SIZES[i]);
        CHECK(block, "malloc(%zu) above the soft limit", SIZES[i]);
        fill(block, SIZES[i] < 100 ? SIZES[i] : 100, i);
        free(block);
    }
    for (; to_free > 0; to_free--) free(blocks[--blocks_now]);
    errno = 99;
    inside = 0;
}

static void grow(int until, size_t size) {
    for (; blocks_now < until; blocks_now++) {
        errno = 55;
        void *block = malloc(size);
        CHECK(block && errno == 55, "malloc(%zu)", size);
        memset(block, 1, size);
        blocks[blocks_now] = block;
    }
}

static void shrink(int until) {
    while (blocks_now > until) free(blocks[--blocks_now]);
}

/* Gives the allocator occasions for its passes until the caches are what they should be; passes come with time. */
static void wait_for_caches(size_t expected) {
    hak_limits_t limits = {0};
    for (time_t end = seconds() + HANGS_AFTER; seconds() < end; usleep(10000)) {
        for (int j = 0; j < 100; j++) free(malloc(100000));
        hak_limits_read(&limits);
        if (limits.short_caches == expected) return;
    }
    CHECK(limits.short_caches == expected, "caches stay %s", expected ? "long" : "short");
}

static void *grow_a_little(void *size) {
    void *mine[64];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 64; i++) {
            mine[i] = malloc((size_t)size + i);
            CHECK(mine[i], "malloc in a thread");
            memset(mine[i], 1, (size_t)size + i);
        }
        for (int i = 0; i < 64; i++) free(mine[i]);
    }
    return NULL;
}

int main(int argc, char **argv) {
    hak_limits_t limits;
    CHECK(hak_on_pressure(on_pressure, (void *)blocks) == 0, "a function is registered");
    if (argc > 1) {
        hak_limits_read(&limits);
        CHECK(limits.soft == (size_t)atoi(argv[1]) * MB, "%zu bytes from the environment", limits.soft);
    } else {
        errno = 0;
        CHECK(hak_limits_set(3, 2) == -1 && errno == EINVAL, "the soft limit is the lower one");
        hak_limits_read(&limits);
        CHECK(limits.soft == 0 && limits.hard == 0, "a refused setting changes nothing");
        CHECK(hak_limits_set(40 * MB, 0) == 0, "a limit is set");
    }

    /* Up to the limit nothing happens; beyond it the program is told, once. */
    grow(300, 130000);
    CHECK(told == 0, "told at 37 MB");
    grow(500, 130000);
    CHECK(told >= 1 && !recursed, "told %d times, %d of them inside", told, recursed);
    CHECK(told_argument == blocks && told_limit == 40 * MB && told_used > 38 * MB, "told of %zu of %zu", told_used, told_limit);
    hak_limits_read(&limits);
    CHECK(limits.soft_times == 1 && limits.short_caches == 1 && limits.used > 40 * MB, "%zu times", limits.soft_times);

    /* What is freed above the limit does not stay: beyond a small rest it goes at once. */
    shrink(250);
    CHECK(resident() < (size_t)44 * MB, "%zu MB resident with 31 MB in use", resident() >> 20);
    wait_for_caches(0);

    /* Crossed again, by large blocks and by small ones; the program frees what it can do without. */
    shrink(0);
    int before = told;
    void *large = calloc(1, 60 * MB);
    CHECK(large && told > before, "told %d times of a large block", told - before);
    free(large);
    wait_for_caches(0);
    before = told;
    grow(250, 130000);
    to_free = 200;
    for (int i = 250; i < BLOCKS; i++) {
        void *small = malloc(20000);
        CHECK(small, "malloc of a small block");
        memset(small, 1, 20000);
        if (to_free == 0) break;
    }
    CHECK(to_free == 0 && told > before, "told %d times of small blocks", told - before);

    /* Threads that cross it together find one of them telling. */
    pthread_t threads[4];
    CHECK(hak_limits_set(1 * MB, 0) == 0, "the limit is lowered below what is used");
    for (int i = 0; i < 4; i++) threads[i] = start(grow_a_little, (void *)(intptr_t)(i * 30000 + 10));
    for (int i = 0; i < 4; i++) join(threads[i]);
    CHECK(!recursed, "%d calls within another", recursed);

    /* Without a function, and without a limit, nobody is told. */
    CHECK(hak_on_pressure(NULL, NULL) == 0 && hak_limits_set(0, 0) == 0, "back to the start");
    before = told;
    wait_for_caches(0);
    free(calloc(1, 100 * MB));
    hak_limits_read(&limits);
    CHECK(told == before && limits.soft == 0, "told without a limit");
    return 0;
}
