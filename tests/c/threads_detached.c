/* Detached threads that never allocate cost nothing: the C library frees what belongs to such a thread, and to others
   whose stacks it drops, after the last hook of the thread's exit, and no heap is adopted for that. */
#include "check.h"
#include <hakmem.h>
#include <semaphore.h>

enum { THREADS = 6000, AT_ONCE = 50, MOST_HEAPS = 4, MOST_GROWTH = 2 << 20 };

static sem_t room;

static void *nothing(void *argument) {
    usleep(200);
    sem_post(&room);
    return argument;
}

static void run(int threads) {
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < threads; i++) {
        sem_wait(&room);
        pthread_t thread;
        while (pthread_create(&thread, &detached, nothing, NULL) != 0) usleep(100);
    }
    pthread_attr_destroy(&detached);
}

int main(void) {
    sem_init(&room, 0, AT_ONCE);
    run(THREADS / 10);
    size_t before = resident();
    run(THREADS);
    hak_stats_t stats;
    hak_stats_read(&stats);
    CHECK(stats.heaps <= MOST_HEAPS, "%llu heaps for one thread that allocates", (unsigned long long)stats.heaps);
    CHECK(resident() < before + MOST_GROWTH, "%zu KB grew to %zu KB", before >> 10, resident() >> 10);
    return 0;
}
