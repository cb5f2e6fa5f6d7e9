/* malloc_info writes to any stream, takes no options but 0, and what it writes is printed here for a parser. */
#include "check.h"

int main(void) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(i * 1000);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    CHECK(malloc_info(0, memory) == 0, "malloc_info to memory");
    fclose(memory);
    CHECK(size > 50 && strncmp(text, "<malloc version=", 16) == 0, "%s", text);
    CHECK(malloc_info(1, stdout) == EINVAL, "malloc_info with options");
    fputs(text, stdout);
    free(text);
    for (int i = 0; i < 100; i++) free(blocks[i]);
    return 0;
}
