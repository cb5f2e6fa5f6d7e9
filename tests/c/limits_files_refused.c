/* The system's limits are read from small files. However short the reads are, the numbers are the same; and whichever
   file cannot be opened or read to its end, a number is the true one or unknown, and never a part of one. Run without
   the scavenger, in a group whose maximum is 160 MB.

   The library reads no files once the program has shut itself in behind a filter, so this one is there before the
   library begins. */
#include "calls.h"
#include <hakmem.h>

enum { NEVER = 1 << 30, SHORT = 7 };
static int left = NEVER, shortened;

static long refuse(const struct call *call) {
    struct call shorter = *call;
    if (left-- == 0) return call->number == SYS_read ? -EIO : -EMFILE;
    if (shortened && call->number == SYS_read && shorter.arguments[2] > SHORT) shorter.arguments[2] = SHORT;
    return pass(&shorter);
}

static int is_either(size_t number, size_t truth) { return number == truth || number == 0; }

static void begin(void) {
    static const long calls[] = {SYS_openat, SYS_read};
    watch_calls(calls, 2, refuse);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = begin;

int main(void) {
    hak_limits_t truth, now;
    hak_limits_read(&truth);
    CHECK(truth.system_max == (size_t)160 << 20, "a maximum of %zu", truth.system_max);
    left = NEVER;
    shortened = 1;
    hak_limits_read(&now);
    CHECK(memcmp(&now, &truth, sizeof now) == 0, "with short reads the maximum is %zu, %zu used", now.system_max, now.system_used);
    int made = NEVER - left;
    CHECK(made > 20, "only %d calls were made", made);
    for (int nth = 0; nth < made; nth++) {
        left = nth;
        hak_limits_read(&now);
        CHECK(is_either(now.system_max, truth.system_max), "call %d failed: a maximum of %zu", nth, now.system_max);
        CHECK(is_either(now.system_high, truth.system_high), "call %d failed: memory.high is %zu", nth, now.system_high);
        CHECK(is_either(now.system_used, truth.system_used), "call %d failed: %zu are used", nth, now.system_used);
    }
    return 0;
}
