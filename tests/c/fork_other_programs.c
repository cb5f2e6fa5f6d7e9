/* system, popen and posix_spawn from a program with busy threads: they fork by ways of their own. */
#include "busy.h"
#include <spawn.h>

extern char **environ;
enum { ROUNDS = 50, THREADS = 4 };

int main(void) {
    start_busy(THREADS);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(system("exit 3") == 3 << 8, "system");
        char line[20] = "";
        FILE *pipe = popen("echo hello", "r");
        CHECK(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "hello\n") == 0, "popen reads \"%s\"", line);
        CHECK(pclose(pipe) == 0, "pclose");
        pid_t child;
        char *arguments[] = {"true", NULL};
        CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0, "posix_spawnp");
        reap(child);
    }
    stop_busy(THREADS);
    return 0;
}
