/* The descriptors belong to the program: it gets the lowest free one, a closed file stays closed, and a file that the
   program put at a number stays there, also while the allocator gives memory back and empties the heaps of idle
   threads. */
#include "check.h"
#include <poll.h>
#include <signal.h>

enum { BLOCKS = 60000, SIZE = 1000, ROUNDS = 1000000, SLEEPERS = 60 };

static void *blocks[BLOCKS];
static int ends[2];

/* Fills its caches again each time that they were emptied. */
static void *sleeper(void *argument) {
    struct pollfd ended = {.fd = ends[0], .events = POLLIN};
    do {
        free(malloc(100));
    } while (poll(&ended, 1, 150) == 0);
    return argument;
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    CHECK(pipe(ends) == 0, "a pipe");
    pthread_t sleepers[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++) sleepers[i] = start(sleeper, blocks);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    for (int i = 0; i < BLOCKS; i += 2) free(blocks[i]);
    int first = open("/dev/null", O_RDONLY);
    close(first);
    for (int round = 0; round < ROUNDS; round++) {
        if (round % 10000 == 0) free(malloc(100));
        int file = open("/dev/null", O_RDONLY);
        CHECK(file == first, "round %d: %d is open, %d was free", round, file, first);
        CHECK(close(file) == 0, "round %d", round);
        if (round % 4) continue;
        int pipes[2];
        char byte;
        CHECK(pipe2(pipes, O_NONBLOCK) == 0 && pipes[0] == first && pipes[1] == first + 1, "round %d: %d, %d", round, pipes[0], pipes[1]);
        CHECK(write(pipes[1], "x", 1) == 1 && read(pipes[0], &byte, 1) == 1, "round %d: a byte is lost", round);
        CHECK(close(pipes[1]) == 0, "round %d", round);
        /* The end that was closed is open nowhere else. */
        CHECK(read(pipes[0], &byte, 1) == 0, "round %d: the pipe is still open", round);
        CHECK(close(pipes[0]) == 0, "round %d", round);
    }
    CHECK(write(ends[1], "x", 1) == 1, "the pipe");
    for (int i = 0; i < SLEEPERS; i++) join(sleepers[i]);
    return 0;
}
