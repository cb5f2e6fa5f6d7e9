/* A daemon locks all its memory, present and future. The kernel then makes all mapped memory resident, touched or
   not. Prints how many KB are locked after some allocations, or "skip" where this user may not lock that much. */
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>

enum { COUNT = 100, SIZE = 100000, ENOUGH = 64 << 20 };
static void *blocks[COUNT];

static unsigned long kilobytes(const char *name) {
    char text[4096] = {0};
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0, "/proc/self/status cannot be read");
    close(file);
    char *line = strstr(text, name);
    CHECK(line != NULL, "%s", text);
    return strtoul(line + strlen(name), NULL, 10);
}

int main(void) {
    memset(opaque(malloc(1000)), 1, 1000);
    /* Checked before memory is locked, so that a failure of this test does not fill the machine. */
    CHECK(kilobytes("VmSize:") < ENOUGH >> 10, "%lu KB are mapped and would be locked", kilobytes("VmSize:"));
    /* Raised if that is allowed; a user with the right to lock any amount does not need it. */
    struct rlimit limit = {ENOUGH, ENOUGH};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    void *attempt = mmap(NULL, ENOUGH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (attempt == MAP_FAILED) {
        puts("skip");
        return 0;
    }
    munmap(attempt, ENOUGH);
    CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "what is mapped cannot be locked");
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL, "block %d of %d", i, COUNT);
        memset(blocks[i], i, SIZE);
    }
    printf("%lu\n", kilobytes("VmLck:"));
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    return 0;
}
