/* A program installs a filter of system calls that kills it for a new thread or an open file, and lives on: from then
   on the allocator makes neither. argv[1]: "early", before the program allocates much, so that nothing gives memory
   back while it idles; "late", afterwards, and then free memory still goes back. */
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { BLOCKS = 100000, SIZE = 1000 };

static void *blocks[BLOCKS];

#define REFUSE(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void shut_in(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        REFUSE(clone), REFUSE(clone3), REFUSE(openat), REFUSE(open),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "a filter for all threads");
}

/* Resident bytes from a file that was opened before. */
static size_t resident_in(int file) {
    char text[128] = {0};
    unsigned long pages = 0;
    CHECK(pread(file, text, sizeof text - 1, 0) > 0, "statm");
    CHECK(sscanf(text, "%*u %lu", &pages) == 1, "statm: %s", text);
    return pages * 4096;
}

int main(int argc, char **argv) {
    int late = argc > 1 && !strcmp(argv[1], "late");
    int file = open("/proc/self/statm", O_RDONLY);
    if (!late) shut_in();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
    if (late) {
        usleep(600000);
        shut_in();
    }
    size_t peak = resident_in(file);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    if (late)
        WAIT_UNTIL(resident_in(file) <= peak / 4, "%zu of %zu MB are left", resident_in(file) >> 20, peak >> 20);
    else
        usleep(1500000);
    void *again = malloc(SIZE);
    CHECK(again, "it goes on");
    free(again);
    return 0;
}
