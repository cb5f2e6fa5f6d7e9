/* A block aligned to 16 is freed as one aligned to a page, and one of 100 bytes as one of 4000. */
#include "misuse.h"

int main(void) {
    void *blocks[2] = {aligned_alloc(16, 48), aligned_alloc(16, 48)};
    for (int i = 0; i < 2; i++)
        if ((size_t)blocks[i] % 4096 != 0) {
            aligned_sized_free(misused(blocks[i]), 4096, 48);
            break;
        }
    aligned_sized_free(misused(aligned_alloc(64, 128)), 64, 4000);
    return !heap_works(48);
}
