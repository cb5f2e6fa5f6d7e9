/* The program itself fills the address space that it may have; malloc returns NULL with ENOMEM. When some address
   space becomes free, at any place, malloc has memory again. The test that starts this program sets the limit. */
#include "check.h"
#include <sys/mman.h>

enum { MAPPINGS = 4096, PIECE = 16 << 20 };

int main(void) {
    static void *mappings[MAPPINGS];
    static size_t lengths[MAPPINGS];
    int count = 0;
    for (size_t length = PIECE; length >= 4096; length /= 2) {
        void *at;
        while (count < MAPPINGS && (at = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED) {
            mappings[count] = at;
            lengths[count++] = length;
        }
    }
    CHECK(count > 2 && count < MAPPINGS && lengths[1] == PIECE, "%d mappings", count);
    static void *kept[200000];
    int blocks = 0;
    errno = 0;
    while (blocks < 200000 && (kept[blocks] = malloc(10000)) != NULL) blocks++;
    CHECK(blocks < 200000 && errno == ENOMEM, "%d blocks, though nothing is left", blocks);
    CHECK(munmap(mappings[1], lengths[1]) == 0, "munmap");
    for (int i = 0; i < 300; i++) {
        void *block = malloc(10000);
        CHECK(block, "malloc(10000), the %dth with 16 MB of room", i);
        memset(block, 1, 10000);
    }
    return 0;
}
