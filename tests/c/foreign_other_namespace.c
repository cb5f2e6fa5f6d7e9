/* A plugin in a namespace of its own (dlmopen) has a second C library with a second heap. Its blocks are foreign to
   this one: they may be named and left alone, but neither heap is damaged. argv[1]: the plugin. */
#include "exchange.h"

int main(int argc, char **argv) {
    struct exchange plugin =
        exchange_of(dlmopen(LM_ID_NEWLM, argc > 1 ? argv[1] : "", RTLD_NOW), PLUGIN_NAMES);
    for (int i = 0; i < SIZE_COUNT; i++) {
        char *theirs = plugin.make(SIZES[i]);
        char *mine = malloc(SIZES[i]);
        free(theirs);
        fill(mine, SIZES[i], i);
        for (int j = 0; j < 10; j++) {
            char *more = plugin.make(SIZES[i]);
            CHECK(more, "their heap is broken");
            memset(more, 0, SIZES[i]);
            plugin.destroy(more);
            free(malloc(SIZES[i]));
        }
        CHECK(filled(mine, SIZES[i], i), "a block of %zu bytes here", SIZES[i]);
        free(mine);
    }
    return 0;
}
