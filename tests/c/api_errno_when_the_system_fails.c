/* The system refuses to unmap and to take pages back. free still keeps errno, and nothing is lost: the memory is used
   again. */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* From here on munmap and madvise fail in this process. */
static void refuse(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

static size_t mapped(void) {
    char text[64] = {0};
    int file = open("/proc/self/statm", O_RDONLY);
    CHECK(read(file, text, sizeof text - 1) > 0, "statm");
    close(file);
    return strtoul(text, NULL, 10) * 4096;
}

int main(void) {
    static char *blocks[SIZE_COUNT];
    refuse();
    size_t after_ten = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < SIZE_COUNT; i++) {
            errno = 77;
            blocks[i] = malloc(SIZES[i]);
            CHECK(blocks[i], "malloc(%zu) in round %d", SIZES[i], round);
            fill(blocks[i], SIZES[i] < 1000 ? SIZES[i] : 1000, i);
            blocks[i] = realloc(blocks[i], SIZES[i] * 2 + 10);
            CHECK(blocks[i] && filled(blocks[i], SIZES[i] < 1000 ? SIZES[i] : 1000, i), "realloc of %zu", SIZES[i]);
        }
        for (int i = 0; i < SIZE_COUNT; i++) {
            errno = 77;
            free(blocks[i]);
            CHECK(errno == 77, "free of %zu bytes", SIZES[i]);
        }
        malloc_trim(0);
        if (round == 10) after_ten = mapped();
    }
    CHECK(mapped() < after_ten + (64 << 20), "%zu MB were lost", (mapped() - after_ten) >> 20);
    return 0;
}
