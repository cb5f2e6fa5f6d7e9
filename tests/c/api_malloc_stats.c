/* malloc_stats writes something to standard error, nothing to standard output, and may be called by any thread. */
#include "check.h"

static void *print(void *unused) {
    malloc_stats();
    return unused;
}

int main(void) {
    char text[4096] = "";
    int ends[2];
    CHECK(pipe(ends) == 0, "pipe");
    int kept = dup(2);
    dup2(ends[1], 2);
    join(start(print, NULL));
    fflush(stderr);
    dup2(kept, 2);
    ssize_t size = read(ends[0], text, sizeof text - 1);
    CHECK(size > 20 && strpbrk(text, "0123456789"), "malloc_stats writes \"%s\"", text);
    return 0;
}
