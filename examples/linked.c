/* A C program linked with -lhakmem: malloc and free are HAKMEM's, and hakmem.h says what they did. */
#include <hakmem.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    enum { LINES = 1000 };
    char *lines[LINES];
    for (int i = 0; i < LINES; i++) {
        lines[i] = malloc(64);
        if (lines[i] == NULL) return EXIT_FAILURE;
        snprintf(lines[i], 64, "line %d", i);
    }
    hak_stats_t stats;
    hak_stats_read(&stats);
    printf("HAKMEM %s: %" PRIu64 " blocks allocated, %" PRIu64 " bytes live\n", hak_version(), stats.allocations, stats.live_bytes);
    for (int i = 0; i < LINES; i++) free(lines[i]);
    /* The program's own blocks are among those that the library counted. */
    return stats.allocations >= LINES ? EXIT_SUCCESS : EXIT_FAILURE;
}
