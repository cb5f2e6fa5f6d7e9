/* Threads with small stacks use up all memory together, through each function that allocates: every one of them gets
   NULL and ENOMEM, aligned blocks until then, and after all is freed they can allocate as much again. The test that
   starts this program sets the limit of address space. */
#include "entries.h"

enum { THREADS = 6 };
static const struct entry *entry;
static size_t size, total;
static pthread_barrier_t full;

static void *run_out(void *unused) {
    void **list = NULL, **block;
    size_t got = 0;
    errno = 0;
    while ((block = entry->allocate(size)) != NULL) {
        *block = list;
        list = block;
        got += size;
    }
    CHECK(errno == ENOMEM, "%s of %zu", entry->name, size);
    __atomic_fetch_add(&total, got, __ATOMIC_RELAXED);
    pthread_barrier_wait(&full);
    while (list) {
        block = *list;
        free(list);
        list = block;
    }
    return unused;
}

static size_t all_run_out(void) {
    pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_barrier_init(&full, NULL, THREADS);
    total = 0;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], &small, run_out, NULL) == 0, "a thread");
    for (int i = 0; i < THREADS; i++) join(threads[i]);
    malloc_trim(0);
    return total;
}

int main(void) {
    static const size_t TRIED[] = {144, 4096, 70000};
    for (int i = 0; i < ENTRY_COUNT; i++)
        for (int j = 0; j < 3; j++) {
            entry = &ENTRIES[i];
            size = TRIED[j];
            /* Blocks that each take megabytes of address space say less about lost memory. */
            if (strstr(entry->name, "2 MiB") && size < 70000) continue;
            size_t once = all_run_out(), again = all_run_out();
            CHECK(once && again > once / 2, "%s of %zu: %zu KB at first, then %zu", entry->name, size, once >> 10, again >> 10);
        }
    return 0;
}
