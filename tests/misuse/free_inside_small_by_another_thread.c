/* A thread frees a pointer into the middle of a small block of another thread; the block stays. */
#include "misuse.h"

static void *run(void *block) {
    free(misused((char *)block + 16));
    return NULL;
}

int main(void) {
    pthread_t thread;
    char *block = malloc(200);
    memset(block, 3, 200);
    pthread_create(&thread, NULL, run, block);
    pthread_join(thread, NULL);
    for (int i = 0; i < 200; i++)
        if (block[i] != 3) return 1;
    free(block);
    return !heap_works(200);
}
