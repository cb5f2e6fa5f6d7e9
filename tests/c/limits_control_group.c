/* The allocator knows the limits of the control group, gives memory back when they are near, and notices when they
   change while the program runs. argv[1] is the group's directory, whose maximum is 160 MB; argv[2] says "real", or
   "fake" if its files say what this program writes into them. */
#include "check.h"
#include <hakmem.h>

enum { MB = 1 << 20, SIZE = 65000, BLOCKS = 2600 };

/* libc declares that malloc calls no function of this file, which is wrong with a function for pressure: hence volatile. */
static volatile int told;
static volatile size_t told_limit;
static const char *group;
static int fake, version_2;

static void on_pressure(void *argument, size_t used, size_t limit) {
    CHECK(argument == NULL && used > 64 * MB, "told of %zu bytes", used);
    told_limit = limit;
    told++;
}

static void write_file(const char *name, const char *format, size_t number) {
    char path[300], text[100];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int length = snprintf(text, sizeof text, format, number);
    int file = open(path, O_WRONLY | O_TRUNC);
    CHECK(file >= 0 && write(file, text, length) == length && close(file) == 0, "%s cannot be written", path);
}

static void set_maximum(size_t bytes) {
    write_file(version_2 ? "memory.max" : "memory.limit_in_bytes", "%zu\n", bytes);
}

static void *blocks[BLOCKS];

static void hold(int count) {
    static int now;
    for (; now < count; now++) {
        blocks[now] = malloc(SIZE);
        CHECK(blocks[now], "malloc above the group's limit");
        memset(blocks[now], 1, SIZE);
    }
    while (now > count) free(blocks[--now]);
    if (fake) write_file(version_2 ? "memory.current" : "memory.usage_in_bytes", "%zu\n", (size_t)now << 16);
}

/* Works, so that there are passes, until `*what` becomes `expected`. */
static hak_limits_t work_until(size_t hak_limits_t_offset, size_t expected, const char *doing) {
    hak_limits_t limits;
    size_t seen = 0;
    time_t end = seconds() + HANGS_AFTER;
    for (int i = 0; seconds() < end; i++) {
        for (int j = 0; j < 100; j++) free(malloc(100000));
        usleep(10000);
        if (i % 10 == 0) {
            hak_limits_read(&limits);
            memcpy(&seen, (char *)&limits + hak_limits_t_offset, sizeof seen);
            if (seen == expected) return limits;
        }
    }
    CHECK(seen == expected, "%s: %zu instead of %zu", doing, seen, expected);
    return limits;
}
#define UNTIL(field, expected, doing) work_until(offsetof(hak_limits_t, field), expected, doing)

int main(int argc, char **argv) {
    CHECK(argc == 3, "two arguments");
    char path[300];
    group = argv[1];
    fake = !strcmp(argv[2], "fake");
    snprintf(path, sizeof path, "%s/memory.max", group);
    version_2 = access(path, F_OK) == 0;

    hak_limits_t limits;
    hak_limits_read(&limits);
    CHECK(limits.system_max == 160 * MB, "the group's maximum is said to be %zu", limits.system_max);
    CHECK(hak_on_pressure(on_pressure, NULL) == 0, "a function is registered");

    /* At 100 MB of 160 the function is not called; 150 MB is beyond the nine tenths at which the calls begin. */
    hold(1600);
    for (int i = 0; i < 150; i++) {
        free(malloc(100000));
        usleep(10000);
    }
    hak_limits_read(&limits);
    CHECK(told == 0 && limits.short_caches == 0, "told at %zu MB", limits.system_used >> 20);
    hold(2420);
    limits = UNTIL(short_caches, 1, "near the maximum");
    CHECK(told > 0 && told_limit == 160 * MB / 100 * 90 && limits.system_times == 1, "told %d times of %zu", told, told_limit);
    CHECK(limits.system_used >= 140 * MB, "%zu MB are used", limits.system_used >> 20);

    /* Another maximum counts from the next look on. */
    set_maximum(400 * MB);
    limits = UNTIL(short_caches, 0, "far from the new maximum");
    CHECK(limits.system_max == 400 * MB, "a maximum of %zu", limits.system_max);

    if (fake) {
        const char *high = version_2 ? "memory.high" : "memory.soft_limit_in_bytes";
        /* memory.high counts as it is, not nine tenths of it. */
        write_file(high, "%zu\n", 150 * MB);
        UNTIL(short_caches, 1, "above memory.high");
        CHECK(told_limit == 150 * MB, "told of %zu", told_limit);
        write_file(high, "max\n", 0);
        UNTIL(short_caches, 0, "without memory.high");

        /* Memory that the kernel can drop does not count. */
        write_file("memory.stat", version_2 ? "inactive_file %zu\n" : "total_inactive_file %zu\n", 100 * MB);
        write_file(high, "%zu\n", 150 * MB);
        UNTIL(system_high, 150 * MB, "with pages of files");
        CHECK(UNTIL(system_used, ((size_t)2420 << 16) - 100 * MB, "without pages of files").short_caches == 0, "no pressure");

        /* Memory pressure has the same effect, whatever the limits are. */
        int before = told;
        write_file("memory.pressure", "some avg10=10.01 avg60=0.00 avg300=0.00 total=%zu\n", 1);
        limits = UNTIL(short_caches, 1, "under pressure");
        CHECK(told > before && told_limit == 0 && limits.system_pressure == 1001, "told of %zu", told_limit);
        write_file("memory.pressure", "some avg10=9.99 avg60=0.00 avg300=0.00 total=%zu\n", 1);
        UNTIL(short_caches, 0, "after the pressure");
    }

    /* A small process does not read the limit. */
    hold(2420);
    set_maximum(200 * MB);
    hold(500);
    if (fake) write_file(version_2 ? "memory.current" : "memory.usage_in_bytes", "%zu\n", 199 * MB);
    malloc_trim(0);
    int before = told;
    for (int i = 0; i < 100; i++) {
        free(malloc(100000));
        usleep(10000);
    }
    CHECK(told == before, "told in a small process");
    return 0;
}
