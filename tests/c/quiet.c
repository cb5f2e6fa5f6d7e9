/* Allocates a little and says nothing: what is printed beside it comes from the allocator. */
#include <stdlib.h>

int main(void) {
    for (int i = 0; i < 1000; i++) free(malloc(i));
    return 0;
}
