/* A program allows itself a list of system calls, and is killed for any other: the allocator makes only those that
   map and unmap memory (the C library takes `brk` too), the clock's, and futex. argv[1] says when: "early", before it
   allocates much; "late", when it has grown; "frees", late, and then it frees all. argv[2], by which function:
   "prctl", for this thread, or "syscall", for all. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

enum { BLOCKS = 100000, SIZE = 1000, MEDIUM = 300000 };

static void *blocks[BLOCKS];

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void shut_in(const char *how) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(futex), ALLOW(clock_gettime),
        ALLOW(clock_nanosleep), ALLOW(write), ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    if (!strcmp(how, "prctl")) {
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "a filter");
    } else {
        CHECK(syscall(SYS_seccomp, 99, 0, NULL) == -1 && errno == EINVAL, "no such operation");
        CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "a filter for all");
    }
}

static void doze(int milliseconds) {
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: %s WHEN HOW", argv[0]);
    int early = !strcmp(argv[1], "early"), frees = !strcmp(argv[1], "frees");
    /* The C library's malloc asks for random numbers at its first call. */
    free(opaque(malloc(1)));
    if (early) shut_in(argv[2]);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    if (!early) {
        doze(700);
        shut_in(argv[2]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = malloc(i % 50 ? 700 : MEDIUM);
        CHECK(blocks[i] != NULL, "block %d", i);
        memset(blocks[i], 1, 100);
        if (i % 10000 == 0) doze(60);
    }
    for (int i = 0; frees && i < BLOCKS; i++) free(blocks[i]);
    for (int i = 0; i < 25; i++) {
        doze(60);
        free(malloc(5000 + i * 9000));
    }
    malloc_trim(0);
    return 0;
}
