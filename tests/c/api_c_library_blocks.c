/* What functions of the C library allocate for their caller is a block like any other: it can be freed, moved and
   asked for its size. */
#include "check.h"
#include <glob.h>
#include <wchar.h>

static void use(void *block, size_t least, const char *from) {
    CHECK(block, "%s", from);
    CHECK(malloc_usable_size(block) >= least, "%s: %zu bytes of %zu", from, malloc_usable_size(block), least);
    unsigned char first = *(unsigned char *)block;
    block = realloc(block, least + 100000);
    CHECK(block && *(unsigned char *)block == first, "%s, moved", from);
    free(block);
}

int main(void) {
    char *text = NULL, **names = NULL;
    size_t length = 0;
    for (int round = 0; round < 50; round++) {
        use(strdup("some text"), 10, "strdup");
        use(strndup("some text", 4), 5, "strndup");
        use(wcsdup(L"wide"), 5 * sizeof(wchar_t), "wcsdup");
        use(realpath("/", NULL), 2, "realpath");
        use(getcwd(NULL, 0), 2, "getcwd");
        int printed = asprintf(&text, "%0*d", 300 * round + 1, 7);
        use(text, printed + 1, "asprintf");
        FILE *stream = open_memstream(&text, &length);
        for (int i = 0; i < 1000; i++) fprintf(stream, "line %d\n", i);
        fclose(stream);
        use(text, length + 1, "open_memstream");
        stream = fopen("/proc/self/maps", "r");
        text = NULL;
        length = 0;
        CHECK(stream && getdelim(&text, &length, 0, stream) > 100, "getdelim");
        fclose(stream);
        use(text, length, "getdelim");
        struct dirent **entries;
        int count = scandir("/", &entries, NULL, alphasort);
        CHECK(count > 2, "scandir");
        for (int i = 0; i < count; i++) use(entries[i], entries[i]->d_reclen, "scandir");
        use(entries, count * sizeof *entries, "scandir");
        glob_t found;
        CHECK(glob("/*", 0, NULL, &found) == 0 && found.gl_pathc > 0, "glob");
        globfree(&found);
        CHECK(setenv("A_NAME", round % 2 ? "a value" : "another", 1) == 0 && unsetenv("A_NAME") == 0, "setenv");
    }
    free(names);
    return 0;
}
