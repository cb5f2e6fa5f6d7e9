/* calloc does not touch pages that come zeroed from the system: a gigabyte of zeros costs next to nothing until used. Nor does it when
   the block is freed and taken again and again, with a few of its pages used in between. */
#include "check.h"

int main(void) {
    size_t before = resident();
    char *blocks[4];
    static const size_t LARGE[] = {(size_t)1 << 30, 200 << 20, 40 << 20, 5 << 20};
    for (int i = 0; i < 4; i++) {
        blocks[i] = calloc(LARGE[i] / 8, 8);
        CHECK(blocks[i], "calloc of %zu", LARGE[i]);
    }
    size_t more = resident() - before;
    CHECK(more < 2 << 20, "%zu KB were touched", more >> 10);
    for (int i = 0; i < 4; i++) {
        CHECK(blocks[i][LARGE[i] / 2] == 0 && blocks[i][LARGE[i] - 1] == 0, "not zero");
        free(blocks[i]);
    }
    for (int round = 0; round < 60; round++) {
        size_t size = (size_t)64 << 20;
        char *block = calloc(size, 1);
        CHECK(block, "calloc of %zu", size);
        for (size_t at = 0; at < size; at += size / 20) {
            CHECK(block[at] == 0, "not zero");
            block[at] = 1;
        }
        more = resident() - before;
        CHECK(more < 2 << 20, "%zu KB are resident in round %d", more >> 10, round);
        free(block);
    }
    return 0;
}
