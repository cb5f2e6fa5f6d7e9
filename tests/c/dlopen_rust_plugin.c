/* A plugin in Rust that has the allocator inside is opened, used and closed again and again, while threads that used it are still there
   and end later, and with blocks of it in the program's hands. The hook at the exit of a thread, the handler of forks and the
   allocator's own thread refer to it, so it stays where it is: each opening finds the same, with what it has counted. The arguments
   are copies of the plugin, each with an allocator of its own. */
#include "check.h"
#include <dlfcn.h>

enum { ROUNDS = 12, THREADS = 3 };

struct plugin {
    void *handle;
    size_t (*use)(size_t);
    void *(*keep)(void);
    size_t (*take)(void *);
};

static struct plugin open_plugin(const char *path) {
    struct plugin plugin = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    CHECK(plugin.handle, "%s", dlerror());
    *(void **)&plugin.use = dlsym(plugin.handle, "plugin_use");
    *(void **)&plugin.keep = dlsym(plugin.handle, "plugin_keep");
    *(void **)&plugin.take = dlsym(plugin.handle, "plugin_take");
    CHECK(plugin.use && plugin.keep && plugin.take, "%s", dlerror());
    return plugin;
}

static pthread_barrier_t used, closed;
static struct plugin current;

static void *in_thread(void *unused) {
    current.use(1);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    /* Its end is the first that happens here after the plugin was closed. */
    return unused;
}

/* Whether code lies at this address. */
static int is_code(void *address) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], rights[5];
    uintptr_t from, to, at = (uintptr_t)address;
    int found = 0;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && from <= at && at < to) found = rights[2] == 'x';
    if (maps) fclose(maps);
    return found;
}

int main(int argc, char **argv) {
    CHECK(argc > 1, "usage: %s PLUGIN...", argv[0]);
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&closed, NULL, THREADS + 1);
    void *kept[argc];
    struct plugin first[argc];
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 1; i < argc; i++) {
            current = open_plugin(argv[i]);
            if (round == 0) {
                first[i] = current;
            } else {
                CHECK(current.use == first[i].use && current.take(kept[i]) == 1000, "%s is another one, round %d", argv[i], round);
            }
            pthread_t threads[THREADS];
            for (int n = 0; n < THREADS; n++) threads[n] = start(in_thread, NULL);
            pthread_barrier_wait(&used);
            size_t calls = current.use(0), expected = (size_t)(round + 1) * (THREADS + 1);
            CHECK(calls == expected, "%zu calls of %s and not %zu, round %d", calls, argv[i], expected, round);
            kept[i] = current.keep();
            CHECK(dlclose(current.handle) == 0, "%s", dlerror());
            pthread_barrier_wait(&closed);
            for (int n = 0; n < THREADS; n++) join(threads[n]);
            CHECK(is_code((void *)first[i].use), "%s is gone, round %d", argv[i], round);
            pid_t child = fork();
            if (child == 0) {
                /* A child of a program that has closed it: the handler of forks has run. */
                void *handle = dlopen(argv[i], RTLD_NOW | RTLD_NOLOAD);
                _exit(!(handle && first[i].take(kept[i]) == 1000 && first[i].use(1) == calls + 1));
            }
            reap(child);
        }
    return 0;
}
