/* Under a limit of address space, or of its private writable part, the program runs, gets a clean NULL when it is
   reached, and after freeing can allocate as before. The test that starts this program sets the limit. */
#include "check.h"
#include <sys/resource.h>

static size_t exhaust(size_t size) {
    void **list = NULL;
    size_t total = 0;
    for (;;) {
        errno = 0;
        void **block = malloc(size);
        if (block == NULL) break;
        *block = list;
        list = block;
        total += size;
    }
    CHECK(errno == ENOMEM, "malloc(%zu) fails", size);
    errno = 0;
    CHECK(calloc(1, size * 100) == NULL && errno == ENOMEM, "calloc of %zu", size * 100);
    CHECK(realloc(list, size * 1000) == NULL && errno == ENOMEM, "realloc to %zu", size * 1000);
    while (list) {
        void **next = *list;
        free(list);
        list = next;
    }
    malloc_trim(0);
    return total;
}

static void *exhaust_in_thread(void *size) { return (void *)exhaust((size_t)size); }

int main(void) {
    struct rlimit limit, data;
    getrlimit(RLIMIT_AS, &limit);
    getrlimit(RLIMIT_DATA, &data);
    if (data.rlim_cur < limit.rlim_cur) limit = data;
    CHECK(limit.rlim_cur < (size_t)1 << 40, "this program runs under a limit");
    static const size_t EXHAUSTED[] = {24, 1000, 30000, 300000, 5000000, 24};
    for (int i = 0; i < 6; i++) {
        size_t once = exhaust(EXHAUSTED[i]);
        CHECK(once > limit.rlim_cur / 4, "only %zu MB in blocks of %zu", once >> 20, EXHAUSTED[i]);
        size_t again = exhaust(EXHAUSTED[i]);
        CHECK(again > once - once / 4, "%zu MB in blocks of %zu at first, then %zu", once >> 20, EXHAUSTED[i], again >> 20);
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, exhaust_in_thread, (void *)100) == 0) pthread_join(thread, NULL);
    return 0;
}
