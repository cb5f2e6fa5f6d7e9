/* The child of a process with a scavenger has none at first; it gets its own when it has as much memory to give back,
   and so does its child. */
#include "check.h"

enum { BLOCKS = 100000, SIZE = 1000, GENERATIONS = 3 };

static void *blocks[BLOCKS];

static void live_a_while(void) {
    size_t before = resident();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    size_t bound = before + (resident() - before) / 20;
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    WAIT_UNTIL(resident() <= bound, "%zu KB are left", (resident() - before) >> 10);
}

int main(void) {
    for (int generation = 0; generation < GENERATIONS; generation++) {
        live_a_while();
        pid_t child = fork();
        if (child) {
            reap(child);
            return 0;
        }
    }
    return 0;
}
