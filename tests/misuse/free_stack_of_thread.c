/* A thread frees a variable on its stack, which lies among the mappings. */
#include "misuse.h"

static void *run(void *unused) {
    long variables[64] = {1, 2, 3};
    free(misused(variables + 16));
    return variables[2] == 3 ? unused : (void *)1;
}

int main(void) {
    pthread_t thread;
    void *result = (void *)2;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, &result);
    return result != NULL || !heap_works(24);
}
