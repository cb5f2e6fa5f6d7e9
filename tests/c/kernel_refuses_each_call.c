/* Whichever of its calls the kernel refuses, the allocator returns NULL with ENOMEM or does without the call, and
   loses nothing: in a first thread and in one that comes and goes, with memory and with the files that it reads. One
   call is refused, or nine in a row, since most calls have a second way. Afterwards all memory can be allocated
   again. Run without the scavenger. */
#include "calls.h"

enum { NEVER = 1 << 30 };
static int left = NEVER, in_a_row = 1;

static long refuse(const struct call *call) {
    int now = __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED);
    if (now > 0 || now <= -in_a_row) return pass(call);
    return call->number == SYS_openat ? -EMFILE : call->number == SYS_read ? -EIO : -ENOMEM;
}

static void *in_thread(void *unused) {
    (void)unused;
    return (void *)(intptr_t)use_everything();
}

/* Returns how many allocations were refused. */
static int workload(void) {
    pthread_t thread;
    int refused = use_everything();
    int error = pthread_create(&thread, NULL, in_thread, NULL);
    CHECK(error == 0 || error == EAGAIN, "pthread_create gives %d", error);
    return refused + (error ? 1 : (int)(intptr_t)join(thread));
}

int main(void) {
    watch_calls(MEMORY_AND_FILES, MEMORY_AND_FILES_COUNT, refuse);
    CHECK(workload() == 0, "refused by nobody");
    left = NEVER;
    CHECK(workload() == 0, "refused by nobody");
    int calls = NEVER - left, refused = 0;
    size_t before = resident();
    CHECK(calls > 100, "only %d calls are made", calls);
    for (in_a_row = 1; in_a_row <= 9; in_a_row += 8)
        for (int nth = 0; nth < calls; nth += in_a_row) {
            left = nth;
            refused += workload();
            left = NEVER;
            CHECK(workload() == 0, "call %d of %d was refused, and now an allocation is", nth, calls);
        }
    CHECK(refused > 0, "none of the refusals was seen");
    CHECK(resident() < before + (8 << 20), "%zu KB were lost", (resident() - before) >> 10);
    printf("%d calls, %d allocations refused\n", calls, refused);
    return 0;
}
