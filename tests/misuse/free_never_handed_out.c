/* An address among the small blocks is freed that was never handed out. */
#include "misuse.h"

int main(void) {
    char *block = malloc(16), *wrong = misused(block + 16384);
    int times = 0;
    free(wrong);
    for (int i = 0; i < 4000; i++) times += malloc(16) == (void *)wrong;
    return times > 1;
}
