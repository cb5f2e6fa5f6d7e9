/* What the kernel says about this process's mappings: their huge pages and flags, and which pages are resident.
   Nothing here allocates. */
#ifndef MAPS_H
#define MAPS_H

#include "check.h"
#include <sys/mman.h>

/* Whether huge pages can be had at all: not where the system's mode is "never", or unknown. */
static inline int huge_pages_allowed(void) {
    char text[128] = {0};
    int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 && strstr(text, "[never]") == NULL;
}

/* Of the mapping that holds `address`: the kilobytes of huge pages, and whether its flags include `flag` ("hg": huge pages
   were asked for, "nh": they were declined). Of all mappings where `address` is NULL: the flags are then not known. */
static inline size_t huge_kilobytes(const void *address, const char *flag, int *flagged) {
    static char text[1 << 20];
    int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0, "/proc/self/smaps cannot be opened");
    size_t length = 0;
    for (ssize_t more; (more = read(file, text + length, sizeof text - 1 - length)) > 0;) length += (size_t)more;
    close(file);
    text[length] = 0;
    CHECK(length < sizeof text - 1, "too many mappings");
    size_t sum = 0;
    int inside = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        unsigned long from, to, kilobytes;
        char dash;
        *end = 0;
        if (sscanf(line, "%lx%c%lx ", &from, &dash, &to) == 3 && dash == '-')
            inside = address == NULL || ((uintptr_t)address >= from && (uintptr_t)address < to);
        else if (inside && sscanf(line, "AnonHugePages: %lu kB", &kilobytes) == 1)
            sum += kilobytes;
        else if (inside && flag && !strncmp(line, "VmFlags:", 8))
            *flagged = strstr(line, flag) != NULL;
    }
    return sum;
}

/* Whether the page at `address` is resident. */
static inline int is_resident(const void *address) {
    unsigned char state;
    int error = mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 4096, &state);
    CHECK(error == 0, "mincore of %p", address);
    return state & 1;
}

#endif
