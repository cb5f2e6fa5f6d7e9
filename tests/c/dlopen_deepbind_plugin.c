/* A plugin opened with RTLD_DEEPBIND calls the C library's malloc and free, not the program's. Program and plugin hand
   each other blocks both ways. argv[1]: the plugin. */
#include "exchange.h"

int main(int argc, char **argv) {
    struct exchange plugin = exchange_of(dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_DEEPBIND), PLUGIN_NAMES);
    take(&plugin);
    give(&plugin);
    char *text = plugin.describe(12);
    CHECK(strcmp(text, "number 12") == 0, "%s", text);
    free(text);
    plugin.destroy(strdup("text"));
    free(plugin.duplicate("text"));
    return 0;
}
