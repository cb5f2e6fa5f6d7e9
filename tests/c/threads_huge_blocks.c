/* Blocks of a gigabyte that one thread allocates and another, which ends then, frees, or resizes and frees: again and again, and neither
   memory nor address space adds up. */
#include "check.h"

static const size_t SIZE = (size_t)1 << 30;

static size_t address_space(void) {
    char text[128] = {0};
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0, "/proc/self/statm cannot be read");
    close(file);
    return strtoul(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void *allocate(void *unused) {
    char *block = malloc(SIZE);
    CHECK(block, "a gigabyte");
    block[0] = block[SIZE / 2] = block[SIZE - 1] = 1;
    return (void)unused, block;
}

static void *release(void *block) {
    free(block);
    return NULL;
}

static void *resize(void *block) {
    char *smaller = realloc(block, SIZE / 2);
    CHECK(smaller && smaller[0] == 1, "half a gigabyte");
    free(smaller);
    return NULL;
}

int main(void) {
    join(start(release, join(start(allocate, NULL))));
    size_t memory = resident(), addresses = address_space();
    for (int round = 0; round < 30; round++) {
        void *block = round % 2 ? allocate(NULL) : join(start(allocate, NULL));
        join(start(round % 3 ? release : resize, block));
    }
    CHECK(resident() < memory + (32 << 20), "%zu MB more are resident", (resident() - memory) >> 20);
    CHECK(address_space() < addresses + SIZE + SIZE / 2, "%zu MB more of address space", (address_space() - addresses) >> 20);
    return 0;
}
