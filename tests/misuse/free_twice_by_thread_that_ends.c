/* A thread frees a small block twice with another in between, and ends. */
#include "misuse.h"

static void *run(void *unused) {
    void *block = misused(malloc(24)), *other = malloc(24);
    free(block);
    free(other);
    free(block);
    return unused;
}

int main(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    return !heap_works(24);
}
