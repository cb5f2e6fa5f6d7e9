/* A program that defragments by the hint gets most of the possible memory back, in two passes at most, and moving
   everything regardless of the hint gains little more. argv[1] is the size of its blocks, 0 for sizes from 16 to
   1000; argv[2] is how it meets them: "in-order", "shuffled", or "of-another" where a thread that sleeps allocated
   them. */
#include "check.h"
#include <hakmem.h>

enum { BLOCKS = 400000, FREED_PERCENT = 80 };

static unsigned char *blocks[BLOCKS], *old[BLOCKS];
static unsigned sizes[BLOCKS], order[BLOCKS];

/* Gives block `i` a new place; its contents stay. */
static void replace(unsigned i) {
    unsigned char *to = malloc(sizes[i]);
    CHECK(to != NULL, "no memory");
    memcpy(to, blocks[i], sizes[i]);
    free(blocks[i]);
    blocks[i] = to;
}

/* Blocks that the hint never calls worth moving. */
static void refusals(void) {
    int local = 0;
    void *carved = malloc(40), *medium = malloc(100000), *large = malloc(10000000);
    CHECK(!hak_worth_moving(NULL) && !hak_worth_moving(&local), "no blocks");
    CHECK(!hak_worth_moving(carved), "the only block of a span that is being carved");
    CHECK(!hak_worth_moving(medium) && !hak_worth_moving(large), "blocks that have their pages to themselves");
    free(carved);
    free(medium);
    free(large);
}

/* One pass over all blocks; how many were moved. */
static int pass(void) {
    int moved = 0;
    for (int at = 0; at < BLOCKS; at++) {
        unsigned i = order[at];
        if (blocks[i] && hak_worth_moving(blocks[i])) {
            replace(i);
            moved++;
        }
    }
    hak_collect();
    return moved;
}

static pthread_barrier_t allocated, done;

static void allocate(void) {
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL, "no memory");
        fill(blocks[i], sizes[i], i);
    }
}

static void *allocate_and_sleep(void *unused) {
    allocate();
    pthread_barrier_wait(&allocated);
    pthread_barrier_wait(&done);
    return unused;
}

int main(int argc, char **argv) {
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    int shuffled = argc > 2 && !strcmp(argv[2], "shuffled");
    int of_another = argc > 2 && !strcmp(argv[2], "of-another");
    unsigned state = 1;
    memset(blocks, 0, sizeof blocks);
    memset(old, 0, sizeof old);
    for (unsigned i = 0; i < BLOCKS; i++) {
        sizes[i] = size ? size : 16 + next(&state) % 985;
        order[i] = i;
    }
    for (unsigned i = BLOCKS - 1; shuffled && i > 0; i--) {
        unsigned j = next(&state) % (i + 1), other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    refusals();
    size_t before = resident(), live = 0;
    pthread_t sleeper = 0;
    if (of_another) {
        pthread_barrier_init(&allocated, NULL, 2);
        pthread_barrier_init(&done, NULL, 2);
        sleeper = start(allocate_and_sleep, NULL);
        pthread_barrier_wait(&allocated);
    } else {
        allocate();
    }
    CHECK(!hak_worth_moving(blocks[BLOCKS / 2]), "a block of a full span is not worth moving");
    unsigned kept = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (next(&state) % 100 < FREED_PERCENT) {
            free(blocks[i]);
            blocks[i] = NULL;
        } else {
            live += malloc_usable_size(blocks[i]);
            kept++;
        }
    }
    hak_collect();
    size_t fragmented = resident();
    int first = pass();
    size_t once = resident();
    int second = pass();
    size_t hinted = resident();
    int third = pass();

    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i]) CHECK(filled(blocks[i], sizes[i], i), "block %u changed as it moved", i);

    /* Everything regardless: all new blocks before any old one goes, so that nothing old is in the way. */
    for (unsigned i = 0; i < BLOCKS; i++) {
        old[i] = blocks[i];
        if (!blocks[i]) continue;
        blocks[i] = malloc(sizes[i]);
        memcpy(blocks[i], old[i], sizes[i]);
    }
    for (unsigned i = 0; i < BLOCKS; i++) free(old[i]);
    hak_collect();
    size_t regardless = resident();

    printf("KB above the start: live %zu, fragmented %zu, after a pass %zu, after two %zu, all moved %zu; "
           "of %u blocks moved: %d, %d, %d\n",
           live >> 10, (fragmented - before) >> 10, (once - before) >> 10, (hinted - before) >> 10, (regardless - before) >> 10,
           kept, first, second, third);
    /* Pages without a block in use have gone back already, so there is less to gain than the heap is sparse. */
    CHECK(fragmented - before > live + live / 2, "a heap so sparse is fragmented");
    size_t possible = fragmented - regardless;
    CHECK(fragmented - hinted >= possible - possible / 10, "the hint gained %zu of %zu KB", (fragmented - hinted) >> 10,
          possible >> 10);
    CHECK(fragmented - once >= possible / 3 * 2, "the first pass gained %zu of %zu KB", (fragmented - once) >> 10,
          possible >> 10);
    CHECK((unsigned)first <= kept && (unsigned)second <= kept / 3, "%d and %d of %u moved", first, second, kept);
    CHECK((unsigned)third <= kept / 20, "a heap that is dense stays as it is, but %d of %u moved", third, kept);
    if (of_another) {
        pthread_barrier_wait(&done);
        join(sleeper);
    }
    return 0;
}
