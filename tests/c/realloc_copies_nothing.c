/* A vector that grows by realloc from 1 KB to 1 GB: once it is a mapping of its own its pages move and are not
   copied. One byte in a megabyte is written; a copy would touch, and so make resident, all the others. */
#include "check.h"

int main(void) {
    const size_t end = (size_t)1 << 30, step = 1 << 20;
    size_t size = 1024, written = 0;
    char *vector = malloc(size);
    size_t before = resident();
    while (size < end) {
        size = size < 3 * step ? size * 2 : size + size / 2;
        vector = realloc(vector, size);
        CHECK(vector, "realloc to %zu bytes", size);
        for (; written < size; written += step) vector[written] = (char)(written / step);
    }
    for (size_t at = 0; at < written; at += step) CHECK(vector[at] == (char)(at / step), "byte %zu", at);
    size_t grown = resident() - before;
    CHECK(grown < 32 << 20, "%zu MB became resident", grown >> 20);
    vector = realloc(vector, 3 * step);
    for (size_t at = 0; at < 3 * step; at += step) CHECK(vector[at] == (char)(at / step), "byte %zu after it shrank", at);
    free(vector);
    return 0;
}
