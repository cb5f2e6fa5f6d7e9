/* mallopt returns 1 for the parameters that programs set, 0 for those that do not exist, and breaks nothing. */
#include "check.h"

int main(void) {
    static const struct {
        int parameter, value;
    } KNOWN[] = {{M_TRIM_THRESHOLD, 128 << 10}, {M_MMAP_THRESHOLD, 128 << 10}, {M_MMAP_MAX, 65536}, {M_TOP_PAD, 0},
                 {M_MXFAST, 64},                {M_CHECK_ACTION, 0},           {M_PERTURB, 0},      {M_ARENA_TEST, 8},
                 {M_ARENA_MAX, 1}};
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        CHECK(mallopt(KNOWN[i].parameter, KNOWN[i].value) == 1, "parameter %d", KNOWN[i].parameter);
    char *block = calloc(1, 1000);
    CHECK(all_zero(block, 1000), "calloc after mallopt");
    free(block);
    return 0;
}
