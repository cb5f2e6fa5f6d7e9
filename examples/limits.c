/* Limits: above the soft one the program is told and drops its cache, beyond the hard one an allocation fails cleanly. */
#include <errno.h>
#include <hakmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MB = 1 << 20, CACHED = 32 };

/* Memory that the program can do without. Other functions change it while malloc runs, hence volatile. */
static void *volatile cache[CACHED];
static volatile int times_told;

static void drop_cache(void *argument, size_t used, size_t limit) {
    (void)argument, (void)used, (void)limit;
    times_told++;
    for (int i = 0; i < CACHED; i++) {
        hak_free(cache[i]);
        cache[i] = NULL;
    }
}

int main(void) {
    if (hak_limits_set(24 * MB, 64 * MB) != 0 || hak_on_pressure(drop_cache, NULL) != 0) return EXIT_FAILURE;
    for (int i = 0; i < CACHED; i++) {
        void *block = hak_malloc(MB);
        if (block == NULL) return EXIT_FAILURE;
        memset(block, 1, MB);
        cache[i] = block;
    }
    errno = 0;
    void *too_much = hak_malloc(100 * MB);
    int refused = too_much == NULL && errno == ENOMEM;
    hak_free(too_much);

    hak_limits_t limits;
    hak_limits_read(&limits);
    printf("told %d times of pressure, %zu MB used, 100 MB %s\n", times_told, limits.used / MB, refused ? "refused" : "given");
    return times_told > 0 && refused ? EXIT_SUCCESS : EXIT_FAILURE;
}
