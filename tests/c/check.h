/* What the test programs share: a check that names itself, threads, patterns, and this process's resident memory. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Ends the program with exit status 1 and a message unless `condition` holds. */
#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            int check_errno = errno;                                                                                   \
            dprintf(2, "%s:%d: %s does not hold", __FILE__, __LINE__, #condition);                                     \
            dprintf(2, " (errno %d): ", check_errno);                                                                  \
            dprintf(2, __VA_ARGS__);                                                                                   \
            dprintf(2, "\n");                                                                                          \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* Seconds after which an expected event counts as hanging: far more than it takes beside twenty busy processes. */
enum { HANGS_AFTER = 900 };

static inline time_t seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Waits until `condition` holds, however long that takes on a busy machine; ends the program as CHECK does if it never does. */
#define WAIT_UNTIL(condition, ...)                                                                                     \
    do {                                                                                                               \
        time_t wait_end = seconds() + HANGS_AFTER;                                                                     \
        while (!(condition) && seconds() < wait_end) usleep(10000);                                                    \
        CHECK(condition, __VA_ARGS__);                                                                                 \
    } while (0)

/* Hides a value's origin from the compiler. */
static inline void *opaque(void *pointer) {
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

static inline size_t opaque_size(size_t size) {
    __asm__ volatile("" : "+r"(size));
    return size;
}

/* Sizes on both sides of each limit between classes, spans and mappings. */
static const size_t SIZES[] = {
    0,     1,     7,     8,      9,      15,     16,     17,     24,      31,      32,      33,      48,       63,      64,
    65,    100,   127,   128,    129,    200,    255,    256,    257,     500,     512,     513,     1000,     1023,    1024,
    1025,  2000,  2048,  2049,   3000,   4095,   4096,   4097,   5000,    8191,    8192,    8193,    10000,    16384,   16385,
    20000, 32767, 32768, 32769,  40000,  65535,  65536,  65537,  100000,  131071,  131072,  131073,  200000,   262144,  300000,
    524288, 600000, 1000000, 1048575, 1048576, 1048577, 1500000, 2097151, 2097152, 2097153, 3000000, 4194304, 10000000};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* Writes a pattern that depends on `seed` over `size` bytes, or checks that it is there. */
static inline void fill(void *block, size_t size, unsigned seed) {
    unsigned char *bytes = (unsigned char *)block;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static inline int filled(const void *block, size_t size, unsigned seed) {
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(seed + i * 7 + (i >> 8))) return 0;
    return 1;
}

static inline int all_zero(const void *block, size_t size) {
    const unsigned char *bytes = (const unsigned char *)block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* Resident memory of this process in bytes, read without allocating. */
static inline size_t resident(void) {
    char text[128] = {0};
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && read(file, text, sizeof text - 1) > 0, "/proc/self/statm cannot be read");
    close(file);
    unsigned long total = 0, pages = 0;
    sscanf(text, "%lu %lu", &total, &pages);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* The next number of a sequence that starts with `state`: 24 bits. */
static inline unsigned next(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Frees all blocks in random order, the same each time. */
static inline void free_shuffled(void **blocks, size_t count) {
    unsigned state = 77;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = next(&state) % (i + 1);
        void *block = blocks[i];
        blocks[i] = blocks[j];
        blocks[j] = block;
    }
    for (size_t i = 0; i < count; i++) free(blocks[i]);
}

static inline pthread_t start(void *(*run)(void *), void *argument) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, argument);
    CHECK(error == 0, "pthread_create gives %d", error);
    return thread;
}

static inline void *join(pthread_t thread) {
    void *result;
    int error = pthread_join(thread, &result);
    CHECK(error == 0, "pthread_join gives %d", error);
    return result;
}

/* Waits for a child process, any if `child` is -1; it must have exited with 0. */
static inline void reap(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) > 0, "child %d cannot be waited for", child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status is %#x", status);
}

/* How many other threads of this process run, or are ready to run, according to the kernel. */
static inline int threads_awake(void) {
    DIR *threads = opendir("/proc/self/task");
    CHECK(threads != NULL, "/proc/self/task cannot be read");
    int awake = 0;
    for (struct dirent *thread; (thread = readdir(threads));) {
        char path[300], text[512] = {0};
        if (thread->d_name[0] == '.' || atoi(thread->d_name) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", thread->d_name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0) continue;
        const char *state = read(file, text, sizeof text - 1) > 0 ? strrchr(text, ')') : NULL;
        close(file);
        awake += state && state[2] != 'S';
    }
    closedir(threads);
    return awake;
}

/* Waits until every other thread of this process sleeps: on a busy machine a thread that was woken long ago may not have run yet. */
static inline void wait_for_sleep(void) {
    WAIT_UNTIL(threads_awake() == 0, "a thread never sleeps");
}

#endif
