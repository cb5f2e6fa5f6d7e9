/* The resolver of another library's function allocates while the loader is still relocating, perhaps before it has
   relocated the allocator. */
#include "check.h"

int chosen(void);

int main(void) {
    CHECK(chosen() == 7, "the resolver could not allocate");
    return 0;
}
