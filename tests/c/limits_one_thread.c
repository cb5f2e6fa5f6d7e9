/* A large process with one thread of its own may enter a user namespace, which the kernel refuses to one with
   several; it goes on giving memory back afterwards. Where the system allows nobody to make a user namespace there is
   nothing to see. */
#include "check.h"
#include <sched.h>

enum { BLOCKS = 60000, SIZE = 1000, TRIES = 50 };
static void *blocks[BLOCKS];

static void use_memory(void) {
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

int main(void) {
    pid_t child = fork();
    if (child == 0) _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 77);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child");
    for (int i = 0; i < TRIES; i++) {
        use_memory();
        if (i % 5 == 0) usleep(200000);
        child = fork();
        if (child == 0) {
            /* The child has no scavenger yet; it gets one here. */
            use_memory();
            usleep(i % 3 * 1000);
            int refused = unshare(CLONE_NEWUSER) != 0;
            use_memory();
            _exit(refused ? 77 : 0);
        }
        int now;
        CHECK(waitpid(child, &now, 0) == child && WIFEXITED(now), "child %d: %#x", i, now);
        CHECK(WEXITSTATUS(now) == WEXITSTATUS(status), "try %d: a small process gets %d, a large one %d", i, WEXITSTATUS(status), WEXITSTATUS(now));
    }
    size_t before = resident();
    use_memory();
    WAIT_UNTIL(resident() <= before + (8 << 20), "%zu MB grew to %zu MB", before >> 20, resident() >> 20);
    return 0;
}
