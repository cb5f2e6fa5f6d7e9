/* The seven quantities of the statistics are true: their sum is what is mapped, mallinfo2 and malloc_info say the
   same, and the kernel's own account of this process (/proc/self/smaps) agrees: mapped bytes exactly, and resident
   bytes are at most live, cached, free, dirty and metadata together. Purged memory is not resident. */
#include "check.h"
#include <hakmem.h>

enum { BLOCKS = 60000, KEEP_EVERY = 300, TOLERANCE = 256 << 10 };

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];
static char smaps[1 << 20];

/* Bytes of mappings without a file or a name. */
struct anonymous {
    size_t mapped, resident;
};

static struct anonymous anonymous(void) {
    int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    for (ssize_t n; (n = read(file, smaps + length, sizeof smaps - 1 - length)) > 0;) length += n;
    CHECK(file >= 0 && length > 0 && length < sizeof smaps - 1, "/proc/self/smaps has %zu bytes", length);
    close(file);
    smaps[length] = 0;
    struct anonymous sum = {0, 0};
    int counts = 0;
    for (char *line = smaps; *line;) {
        char *end = strchr(line, '\n'), name[2] = "";
        unsigned long from, to, inode, kilobytes;
        *end = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu %1s", &from, &to, &inode, name) >= 3) {
            counts = inode == 0 && !name[0];
            if (counts) sum.mapped += to - from;
        } else if (counts && sscanf(line, "Rss: %lu kB", &kilobytes) == 1) {
            sum.resident += kilobytes << 10;
        }
        line = end + 1;
    }
    return sum;
}

static hak_stats_t stats(void) {
    hak_stats_t now;
    hak_stats_read(&now);
    return now;
}

static size_t parts_without_purged(const hak_stats_t *now) {
    return now->live_bytes + now->cached_bytes + now->free_bytes + now->dirty_bytes + now->metadata_bytes;
}

/* The identity, mallinfo2, and the kernel's account, against what they were at the start. */
static hak_stats_t check(const char *when, const hak_stats_t *at_start, const struct anonymous *kernel_at_start) {
    struct anonymous kernel = anonymous();
    hak_stats_t now = stats();
    CHECK(now.mapped_bytes == parts_without_purged(&now) + now.purged_bytes, "%s: %zu mapped", when, now.mapped_bytes);

    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks + info.hblkhd == now.live_bytes, "%s: live", when);
    CHECK(info.fsmblks == now.cached_bytes, "%s: cached", when);
    CHECK(info.fordblks - info.fsmblks - info.keepcost == now.free_bytes, "%s: free", when);
    CHECK(info.keepcost == now.dirty_bytes, "%s: dirty", when);
    CHECK(info.arena - info.uordblks - info.fordblks - info.usmblks == now.purged_bytes, "%s: purged", when);
    CHECK(info.usmblks == now.metadata_bytes, "%s: metadata", when);
    CHECK(info.arena + info.hblkhd == now.mapped_bytes, "%s: mapped", when);

    CHECK(kernel.mapped - kernel_at_start->mapped == now.mapped_bytes - at_start->mapped_bytes,
          "%s: %zu more mapped, the kernel says %zu", when, now.mapped_bytes - at_start->mapped_bytes,
          kernel.mapped - kernel_at_start->mapped);
    size_t resident = kernel.resident - kernel_at_start->resident;
    CHECK(resident <= parts_without_purged(&now) + TOLERANCE, "%s: %zu KB resident, %zu KB live, cached, free and dirty", when,
          resident >> 10, parts_without_purged(&now) >> 10);
    return now;
}

/* The number that malloc_info gives for a quantity. */
static uint64_t told(const char *xml, const char *quantity) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "<total type=\"%s\" value=\"", quantity);
    const char *at = strstr(xml, wanted);
    CHECK(at != NULL, "malloc_info says nothing of %s: %s", quantity, xml);
    return strtoull(at + strlen(wanted), NULL, 10);
}

static void check_malloc_info(void) {
    char *xml = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&xml, &size);
    CHECK(malloc_info(0, stream) == 0, "malloc_info");
    fclose(stream);
    uint64_t sum = told(xml, "live_bytes") + told(xml, "cached_bytes") + told(xml, "free_bytes") + told(xml, "dirty_bytes") +
                   told(xml, "purged_bytes") + told(xml, "metadata_bytes");
    CHECK(told(xml, "mapped_bytes") == sum, "malloc_info's parts are %zu: %s", (size_t)sum, xml);
    free(xml);
}

int main(void) {
    memset(blocks, 0, sizeof blocks);
    memset(sizes, 0, sizeof sizes);
    memset(smaps, 1, sizeof smaps);
    free(malloc(1));
    anonymous();
    struct anonymous kernel_at_start = anonymous();
    hak_stats_t at_start = stats();

    unsigned state = 1;
    size_t asked = 0;
    for (int i = 0; i < BLOCKS; i++) {
        unsigned kind = next(&state) % 1000;
        sizes[i] = kind ? next(&state) % 3000 : 32768 + next(&state) % 2000000;
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL, "no memory");
        memset(blocks[i], 1, sizes[i]);
        asked += sizes[i];
    }
    hak_stats_t full = check("full", &at_start, &kernel_at_start);
    CHECK(full.live_bytes - at_start.live_bytes >= asked, "%zu asked for", asked);
    CHECK(full.live_bytes - at_start.live_bytes <= asked + asked / 8, "%zu asked for, %zu live", asked,
          (size_t)(full.live_bytes - at_start.live_bytes));
    CHECK(anonymous().resident - kernel_at_start.resident >= asked, "what was written is resident");

    /* A few blocks stay, and hold every segment. */
    for (int i = 0; i < BLOCKS; i++)
        if (i % KEEP_EVERY) free(blocks[i]);
    hak_stats_t freed = check("freed", &at_start, &kernel_at_start);
    CHECK(freed.dirty_bytes + freed.free_bytes > full.live_bytes / 2, "%zu dirty, %zu free", freed.dirty_bytes, freed.free_bytes);

    hak_collect();
    hak_stats_t collected = check("collected", &at_start, &kernel_at_start);
    CHECK(collected.cached_bytes == 0 && collected.dirty_bytes == 0, "%zu cached, %zu dirty after a collection",
          collected.cached_bytes, collected.dirty_bytes);
    CHECK(collected.purged_bytes > full.live_bytes / 4, "%zu purged", collected.purged_bytes);
    check_malloc_info();

    for (int i = 0; i < BLOCKS; i += KEEP_EVERY) free(blocks[i]);
    hak_collect();
    hak_stats_t empty = check("empty", &at_start, &kernel_at_start);
    CHECK(empty.live_bytes <= at_start.live_bytes, "%zu live at the end", empty.live_bytes);
    check_malloc_info();
    return 0;
}
