/* A plugin that has the allocator linked in is opened, used by two threads of the program, and closed before they
   end: the hook at their exit, the handler of forks and the allocator's own thread refer to it, so it stays. argv[1]
   is the plugin. */
#include "check.h"
#include <dlfcn.h>

static pthread_barrier_t barrier;
static void (*use)(void);

static void *work(void *argument) {
    use();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return argument;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: %s PLUGIN", argv[0]);
    pthread_barrier_init(&barrier, NULL, 3);
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(plugin != NULL, "%s", dlerror());
    *(void **)&use = dlsym(plugin, "use");
    CHECK(use != NULL, "%s", dlerror());
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) threads[i] = start(work, NULL);
    pthread_barrier_wait(&barrier);
    CHECK(dlclose(plugin) == 0, "%s", dlerror());
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 2; i++) join(threads[i]);
    usleep(700000);
    pid_t child = fork();
    if (child == 0) _exit(0);
    reap(child);
    use();
    return 0;
}
