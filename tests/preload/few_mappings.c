/* Runs a program that may have few mappings, as if vm.max_map_count were low: that is the whole machine's, and only root may set it.

     few_mappings MORE PROGRAM [ARGUMENTS]

   Once the file "go" is there, each process may have MORE mappings more than it has then. Beyond that the calls fail that the kernel
   would refuse: a new mapping, a move, a change to a part of a mapping. Ends as the program does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *what) {
    perror(what);
    exit(125);
}

/* From here on whoever has the descriptor that comes back decides about these calls of this process and of its children. */
static int filter_calls(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
    int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0) fail("seccomp");
    return listener;
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int to, int descriptor) {
    char byte = 0;
    union control control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    struct msghdr message = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (sendmsg(to, &message, 0) != 1) fail("sendmsg");
}

static int receive_descriptor(int from) {
    char byte;
    union control control;
    int descriptor;
    struct msghdr message = {.msg_iov = &(struct iovec){&byte, 1}, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(from, &message, 0) != 1) fail("recvmsg");
    memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    return descriptor;
}

/* The mappings of a process. */
struct mappings {
    int count;
    /* Whether one of them has this place in its middle. */
    int first_inside, end_inside, same;
};

static FILE *file_of(int process, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", process, name);
    return fopen(path, "re");
}

static struct mappings look(int process, unsigned long first, unsigned long end) {
    struct mappings found = {0};
    FILE *file = file_of(process, "maps");
    char line[4096];
    unsigned long from, to;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%lx-%lx", &from, &to) == 2) {
            found.count++;
            found.first_inside |= from < first && first < to;
            found.end_inside |= from < end && end < to;
            found.same |= from < first && end < to;
        }
    if (file) fclose(file);
    return found;
}

/* The process that a thread belongs to. */
static int process_of(int thread) {
    FILE *file = file_of(thread, "status");
    char line[256];
    int process = thread;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &process) == 1) break;
    if (file) fclose(file);
    return process;
}

/* What each process may have, once that is settled. */
static int limit_of(int process, int count, int more) {
    enum { PROCESSES = 4096 };
    static int known[PROCESSES], limits[PROCESSES], used;
    for (int i = 0; i < used; i++)
        if (known[i] == process) return limits[i];
    if (used == PROCESSES) fail("too many processes");
    known[used] = process;
    return limits[used++] = count + more;
}

static int is_refused(int thread, const struct seccomp_data *call, int more) {
    if (access("go", F_OK)) return 0;
    unsigned long first = call->args[0], end = first + ((call->args[1] + 4095) & ~4095ul);
    struct mappings has = look(thread, first, end);
    int limit = limit_of(process_of(thread), has.count, more);
    switch (call->nr) {
        case SYS_mmap: return has.count >= limit;
        /* The kernel wants three to spare. */
        case SYS_mremap: return call->args[3] & MREMAP_MAYMOVE && call->args[2] > call->args[1] && has.count >= limit - 3;
        case SYS_munmap: return has.same && has.count >= limit;
        case SYS_madvise:
            if (call->args[2] < MADV_DONTFORK || call->args[2] == MADV_HWPOISON || call->args[2] > MADV_KEEPONFORK) return 0;
            /* fallthrough */
        default: return (has.first_inside || has.end_inside) && has.count >= limit;
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return 125;
    int pair[2], more = atoi(argv[1]), status, refused = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        int listener = filter_calls();
        send_descriptor(pair[1], listener);
        close(listener);
        execvp(argv[2], argv + 2);
        fail(argv[2]);
    }
    /* The program's input and output are not this process's to hold open. */
    int listener = receive_descriptor(pair[0]), nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(nowhere, 0);
    struct pollfd waits = {listener, POLLIN, 0};
    while (poll(&waits, 1, -1) > 0 && !(waits.revents & POLLHUP)) {
        struct seccomp_notif asked = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) continue;
        int refuse = is_refused(asked.pid, &asked.data, more);
        struct seccomp_notif_resp answer = {asked.id, 0, refuse ? -ENOMEM : 0, refuse ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
        refused += refuse;
    }
    FILE *told = fopen("refused", "we");
    if (!told || fprintf(told, "%d\n", refused) < 0 || fclose(told)) fail("refused");
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}
