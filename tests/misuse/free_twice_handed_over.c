/* A thread frees a block of another thread twice, with two more of its blocks in between. */
#include "misuse.h"

static void *run(void *argument) {
    void **blocks = argument;
    free(malloc(24));
    free(misused(blocks[0]));
    free(blocks[1]);
    free(blocks[2]);
    free(blocks[0]);
    return NULL;
}

int main(void) {
    pthread_t thread;
    void *blocks[3] = {malloc(24), malloc(24), malloc(24)};
    pthread_create(&thread, NULL, run, blocks);
    pthread_join(thread, NULL);
    malloc_trim(0);
    return !heap_works(24);
}
