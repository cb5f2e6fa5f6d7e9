/* Where a program needs more memory than ever before, free memory that was not used since the last peak goes back
   first: freed blocks of one kind do not add to the peak of blocks of another kind. A program that changes between
   the two all the time makes no system calls in the end. A request that the system refuses is no peak, and crosses no
   limit. Run with a decay time of an hour, so that nothing else gives memory back. */
#include "check.h"
#include <hakmem.h>

enum { TOTAL = 96 << 20, SMALL = 1000, LARGE = 3 << 20, CHANGES = 100, CALLS_ALLOWED = 10 };

static void *blocks[TOTAL / SMALL];

/* Allocates 96 MB in blocks of `size` bytes, writes to all of it, and frees them. */
static void work(size_t size) {
    for (size_t i = 0; i < TOTAL / size; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "no memory");
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < TOTAL / size; i++) free(blocks[i]);
}

static size_t peak(void) {
    char text[4096] = {0};
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0, "/proc/self/status cannot be read");
    close(file);
    return strtoul(strstr(text, "VmHWM:") + 6, NULL, 10) << 10;
}

static unsigned long kernel_calls(void) {
    hak_stats_t now;
    hak_stats_read(&now);
    return now.kernel_maps + now.kernel_unmaps + now.kernel_purges + now.kernel_remaps;
}

/* Asks for more memory than any machine has, if the system refuses that. */
static void ask_for_too_much(void) {
    CHECK(hak_limits_set((size_t)1 << 40, 0) == 0, "a soft limit far away");
    int given = 0;
    for (int bits = 42; bits < 64; bits++) {
        void *block = opaque(malloc((size_t)1 << bits));
        CHECK(block == NULL || bits < 47, "2^%d bytes", bits);
        free(block);
        given += block != NULL;
    }
    if (given) puts("this system gives what it does not have: there is no refusal to see");
    hak_limits_t limits;
    hak_limits_read(&limits);
    CHECK(given || limits.soft_times == 0, "a limit was crossed %zu times by what was refused", (size_t)limits.soft_times);
    CHECK(hak_limits_set(0, 0) == 0, "no limit");
}

int main(void) {
    memset(blocks, 0, sizeof blocks);
    ask_for_too_much();
    size_t before = peak();
    work(SMALL);
    size_t small = peak() - before;
    work(LARGE);
    size_t both = peak() - before;
    printf("%zu KB at most with small blocks, %zu KB with large ones after them\n", small >> 10, both >> 10);
    CHECK(small > TOTAL, "all of it was written to");
    CHECK(both < small + small / 5, "the free memory of small blocks added to the peak of large ones");

    unsigned long at_half = 0;
    for (int change = 0; change < CHANGES; change++) {
        if (change == CHANGES / 2) at_half = kernel_calls();
        work(change % 2 ? LARGE : SMALL);
    }
    unsigned long calls = kernel_calls() - at_half;
    printf("%lu kernel calls in the last %d changes\n", calls, CHANGES / 2);
    CHECK(calls <= CALLS_ALLOWED, "the work does not come to rest");
    return 0;
}
