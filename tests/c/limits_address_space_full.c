/* The program takes all addresses that there are, without a limit on what it may have. malloc answers NULL and ENOMEM, and has memory
   again once there is room for some. */
#include "check.h"
#include <sys/mman.h>

enum { MAPPINGS = 4096, ROOM = 16 << 20 };

int main(void) {
    static void *mappings[MAPPINGS];
    static size_t lengths[MAPPINGS];
    int count = 0, room = -1;
    for (size_t length = (size_t)1 << 46; length >= 4096; length /= 2) {
        void *at;
        while (count < MAPPINGS && (at = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED) {
            if (length == ROOM) room = count;
            mappings[count] = at;
            lengths[count++] = length;
        }
    }
    CHECK(count < MAPPINGS, "%d mappings", count);
    if (room < 0) {
        /* None of exactly that size was needed: a part of a larger one will do. */
        for (room = 0; room < count && lengths[room] < ROOM; room++) {}
        CHECK(room < count, "a mapping of 16 MB");
    }
    static void *kept[1000000];
    int blocks = 0;
    errno = 0;
    while (blocks < 1000000 && (kept[blocks] = malloc(10000)) != NULL) blocks++;
    CHECK(blocks < 1000000 && errno == ENOMEM, "%d blocks, though nothing is left", blocks);
    errno = 0;
    CHECK(malloc(5 << 20) == NULL && errno == ENOMEM, "5 MB, though nothing is left");
    CHECK(munmap(mappings[room], ROOM) == 0, "munmap");
    for (int i = 0; i < 300; i++) {
        void *block = malloc(10000);
        CHECK(block, "malloc(10000), the %dth with 16 MB of room", i);
        memset(block, 1, 10000);
    }
    char *large = malloc(5 << 20);
    CHECK(large, "5 MB with 16 MB of room");
    memset(large, 1, 5 << 20);
    return 0;
}
