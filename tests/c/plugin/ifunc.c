/* A function whose implementation is chosen while the program is being loaded, by code that allocates. */
#include <stdlib.h>

static int seven(void) { return 7; }
static int eight(void) { return 8; }

static int (*choose(void))(void) {
    char *block = malloc(40);
    char *zeroes = calloc(10, 10);
    int usable = block != NULL && zeroes != NULL && zeroes[99] == 0;
    free(block);
    free(zeroes);
    return usable ? seven : eight;
}

int chosen(void) __attribute__((ifunc("choose")));
