/* A stop after each instruction of this thread, by the processor's trap flag: a signal at every place in the
   allocator where one can come, in order and each time the same. */
#ifndef STEPS_H
#define STEPS_H

#include "check.h"
#include <signal.h>

static void (*steps_go_to)(void);

static void on_step(int signal) {
    (void)signal;
    int before = errno;
    steps_go_to();
    errno = before;
}

/* `flags` are those of sigaction. */
static inline void handle_steps(int flags, void (*function)(void)) {
    steps_go_to = function;
    struct sigaction action = {.sa_handler = on_step, .sa_flags = flags};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0, "a handler");
}

/* From the next instruction on, or no longer. The red zone below the stack pointer stays as it is. */
static inline void step(int on) {
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\torq %0, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
                     :
                     : "r"(on ? 0x100ul : 0ul)
                     : "memory", "cc");
}

#endif
