/* What a thread has at hand is not taken while it sleeps in a signal handler that interrupted malloc or free, at any of their
   instructions and with any kind of handler. A parent steps each thread of its child to an instruction of its own, delivers the signal
   there and lets go; then the thread sleeps in the handler while the scavenger makes its passes, returns, finishes the call, and looks
   whether a block is handed out twice.
   argv[1], the handler: "plain"; "once" (SA_RESETHAND); "undeferred" (SA_NODEFER); "systemv" (both); "itself" resets its signal; "unblocks"
   unblocks its signal; "alternate" does so on an alternate stack; "nested" is interrupted by itself, twice, and unblocks the signal. argv[2]:
   the decay time in milliseconds. */
#include "check.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <time.h>

enum { STEPS = 56, CALLS = 2, THREADS = STEPS * CALLS, BLOCKS = 64, SIZE = 48, LARGE = 64 << 20, PASSES = 8, STACK = 32 << 10 };

/* What the parent and its child share. */
struct shared {
    _Atomic pid_t threads[THREADS];
    atomic_int in_handler, awake;
};
static struct shared *shared;
static const char *kind;
static __thread int depth;
/* The thread that the parent lets go on to its trap. */
static _Atomic int *turn;

static void handler(int signal) {
    if (!strcmp(kind, "itself")) {
        struct sigaction none = {.sa_handler = SIG_DFL};
        sigaction(signal, &none, NULL);
    }
    if (!strcmp(kind, "unblocks") || !strcmp(kind, "alternate") || !strcmp(kind, "nested")) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    if (!strcmp(kind, "nested") && ++depth < 3) {
        raise(signal);
        return;
    }
    shared->in_handler++;
    while (!shared->awake) {
        struct timespec time = {0, 20000000};
        nanosleep(&time, NULL);
    }
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(uintptr_t *)a, y = *(uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static void install(void) {
    struct sigaction action = {.sa_handler = handler};
    if (!strcmp(kind, "once") || !strcmp(kind, "systemv")) action.sa_flags |= SA_RESETHAND;
    if (!strcmp(kind, "undeferred") || !strcmp(kind, "systemv")) action.sa_flags |= SA_NODEFER;
    if (!strcmp(kind, "alternate")) action.sa_flags |= SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
}

static void *work(void *argument) {
    static char stacks[THREADS][STACK];
    int number = (int)(intptr_t)argument, count = 0;
    stack_t alternate = {.ss_sp = stacks[number], .ss_size = STACK};
    sigaltstack(&alternate, NULL);
    void *blocks[BLOCKS], *again[2 * BLOCKS], *result = NULL;
    for (int i = 0; i < BLOCKS; i++) blocks[i] = malloc(SIZE);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
    void *kept = malloc(SIZE);
    shared->threads[number] = (pid_t)syscall(SYS_gettid);
    while (*turn != number) usleep(1000);
    /* Handlers for one time are installed anew for each thread. */
    install();
    /* The trap tells the parent where stepping begins. */
    if (number % CALLS == 0) {
        __asm__ volatile("int3");
        result = malloc(SIZE);
    } else {
        __asm__ volatile("int3");
        free(kept);
    }
    if (result) again[count++] = result;
    while (count < 2 * BLOCKS) again[count++] = malloc(SIZE);
    qsort(again, count, sizeof *again, by_address);
    for (int i = 1; i < count; i++) CHECK(again[i - 1] != again[i], "%p is handed out twice to thread %d", again[i], number);
    return NULL;
}

static int child(void) {
    pthread_t threads[THREADS];
    char *large = malloc(LARGE);
    memset(large, 1, LARGE);
    for (int i = 0; i < THREADS; i++) threads[i] = start(work, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    free(large);
    return 0;
}

/* Waits for a stop of the thread; the signal that stopped it. */
static int stopped(pid_t thread) {
    int status;
    CHECK(waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status), "thread %d: %#x", thread, status);
    return WSTOPSIG(status);
}

/* Steps the thread so many instructions on from its trap, delivers the signal there, and lets go of it. */
static void step_and_signal(int number) {
    while (!shared->threads[number]) usleep(1000);
    pid_t thread = shared->threads[number];
    CHECK(ptrace(PTRACE_SEIZE, thread, NULL, NULL) == 0, "thread %d can be traced", number);
    *turn = number;
    CHECK(stopped(thread) == SIGTRAP, "the trap of thread %d", number);
    for (int i = 0; i < number / CALLS; i++) {
        CHECK(ptrace(PTRACE_SINGLESTEP, thread, NULL, NULL) == 0 && stopped(thread) == SIGTRAP, "a step of thread %d", number);
    }
    int before = shared->in_handler;
    CHECK(ptrace(PTRACE_DETACH, thread, NULL, (void *)SIGUSR1) == 0, "the signal for thread %d", number);
    while (shared->in_handler == before) usleep(100);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: %s HANDLER DECAY-MS", argv[0]);
    kind = argv[1];
    shared = mmap(NULL, sizeof *shared + sizeof *turn, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED, "shared memory");
    turn = (_Atomic int *)(shared + 1);
    *turn = -1;
    pid_t process = fork();
    if (process == 0) _exit(child());
    for (int i = 0; i < THREADS; i++) step_and_signal(i);
    /* Time for some passes; with the time for the last threads, the first have slept through many. */
    usleep(PASSES * 1000 * atoi(argv[2]));
    shared->awake = 1;
    reap(process);
    return 0;
}
