/* A program lowers its own limit of memory when it already runs, as solvers and judges do, so that it gets NULL
   before the machine is short. Memory below the limit can be allocated, memory beyond it is refused. The argument
   names the limit: "data" for private writable mappings, "as" for address space. */
#include "check.h"
#include <sys/resource.h>

enum { COUNT = 3000, SIZE = 100000 };
static void *blocks[COUNT];

int main(int count, char **arguments) {
    CHECK(count == 2, "data or as");
    free(malloc(100));
    struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    CHECK(setrlimit(strcmp(arguments[1], "as") ? RLIMIT_DATA : RLIMIT_AS, &limit) == 0, "the limit is not taken");
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL, "block %d of %d", i, COUNT);
        memset(blocks[i], i, SIZE);
    }
    void *large = malloc(50 << 20);
    CHECK(large != NULL, "50 MB");
    errno = 0;
    CHECK(malloc(opaque_size((size_t)4 << 30)) == NULL && errno == ENOMEM, "4 GB below a limit of 2 GB");
    free(large);
    for (int i = 0; i < COUNT; i++) {
        CHECK(*(unsigned char *)blocks[i] == (unsigned char)i, "block %d", i);
        free(blocks[i]);
    }
    return 0;
}
