/* Very many threads, one after the other and in small groups, each with blocks of many sizes, some of which the next
   thread frees: memory is as with a few threads: less than 800 bytes remain of each. */
#include "check.h"

enum { ROUNDS = 3000, TOGETHER = 4, BLOCKS = 60 };
static void *left_behind[TOGETHER][BLOCKS];

static void *work(void *number) {
    int self = (int)(intptr_t)number;
    unsigned state = self + 1;
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = next(&state) % (i % 20 ? 4000 : 100000);
        void *block = malloc(size);
        CHECK(block, "malloc(%zu)", size);
        memset(block, 1, size);
        free(left_behind[self][i]);
        left_behind[self][i] = NULL;
        if (i % 3)
            free(block);
        else
            left_behind[self][i] = block;
    }
    return NULL;
}

int main(void) {
    size_t early = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[TOGETHER];
        for (intptr_t i = 0; i < TOGETHER; i++) threads[i] = start(work, (void *)i);
        for (int i = 0; i < TOGETHER; i++) join(threads[i]);
        if (round == ROUNDS / 10) early = resident();
    }
    CHECK(resident() < early + (8 << 20), "%zu KB more than after a tenth of the threads", (resident() - early) >> 10);
    return 0;
}
