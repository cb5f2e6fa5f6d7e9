/* A program with a filter of system calls, which would kill it for opening a file, grows beyond the size from which
   the system's limits are read, and lives. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { BLOCKS = 2400, SIZE = 65000 };

int main(void) {
    static void *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS / 10; i++) blocks[i] = calloc(1, SIZE);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
    for (int i = BLOCKS / 10; i < BLOCKS; i++) {
        blocks[i] = calloc(1, SIZE);
        CHECK(blocks[i], "calloc in the sandbox");
        memset(blocks[i], 1, SIZE);
    }
    /* Passes come with time and allocations. */
    for (int i = 0; i < 100; i++) {
        for (int j = 0; j < 100; j++) free(malloc(100000));
        usleep(10000);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    return 0;
}
