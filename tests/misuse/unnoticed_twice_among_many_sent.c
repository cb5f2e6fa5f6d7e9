/* A thread frees a block of another thread twice, with twenty more of its blocks in between. */
#include "misuse.h"

static void *run(void *argument) {
    void **blocks = argument;
    free(misused(blocks[0]));
    for (int i = 1; i < 21; i++) free(blocks[i]);
    free(blocks[0]);
    return NULL;
}

int main(void) {
    pthread_t thread;
    void *blocks[21];
    for (int i = 0; i < 21; i++) blocks[i] = malloc(24);
    pthread_create(&thread, NULL, run, blocks);
    pthread_join(thread, NULL);
    return 0;
}
