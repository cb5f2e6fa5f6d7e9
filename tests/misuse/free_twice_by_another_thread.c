/* A small block is freed by its thread, and freed again by another. */
#include "misuse.h"

static void *run(void *block) {
    free(block);
    return NULL;
}

int main(void) {
    pthread_t thread;
    void *block = misused(malloc(24));
    pthread_create(&thread, NULL, run, block);
    pthread_join(thread, NULL);
    free(block);
    malloc_trim(0);
    return !heap_works(24);
}
