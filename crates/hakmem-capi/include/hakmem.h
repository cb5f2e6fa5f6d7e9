/*
 * hakmem.h - the C interface of the HAKMEM memory allocator.
 *
 * A program that preloads or links libhakmem needs no header: malloc, free and the rest of the standard names are
 * served by it. This header adds the same family under the prefix hak_, for programs that want to say whose memory they
 * use, and what the standard has no name for: version, statistics, collecting free memory.
 *
 * Both families use one heap: a block of malloc may be given to hak_free, and the other way round. Every function may
 * be called from any thread at any time, except from signal handlers.
 *
 * C99 and later, C++11 and later. Sizes and alignments are in bytes.
 */
#ifndef HAKMEM_H
#define HAKMEM_H

#include <stddef.h>
#include <stdint.h>

/** The version of this header; hak_version() gives the one of the library that is loaded. */
#define HAKMEM_VERSION_MAJOR 0
#define HAKMEM_VERSION_MINOR 1
#define HAKMEM_VERSION_PATCH 0
#define HAKMEM_VERSION "0.1.0"

/** The same as one number to compare: 1.2.3 is 10203. */
#define HAKMEM_VERSION_NUMBER (HAKMEM_VERSION_MAJOR * 10000 + HAKMEM_VERSION_MINOR * 100 + HAKMEM_VERSION_PATCH)

/* What the compiler may know about a function, where the compiler can be told. */
#if defined(__has_attribute)
#define HAK_HAS_ATTRIBUTE(name) __has_attribute(name)
#else
#define HAK_HAS_ATTRIBUTE(name) 0
#endif

#if HAK_HAS_ATTRIBUTE(malloc)
#define HAK_MALLOC __attribute__((malloc)) /* the result aliases nothing */
#else
#define HAK_MALLOC
#endif

#if HAK_HAS_ATTRIBUTE(alloc_size)
#define HAK_SIZE(argument) __attribute__((alloc_size(argument)))
#define HAK_SIZE_PRODUCT(count, size) __attribute__((alloc_size(count, size)))
#else
#define HAK_SIZE(argument)
#define HAK_SIZE_PRODUCT(count, size)
#endif

#if HAK_HAS_ATTRIBUTE(alloc_align)
#define HAK_ALIGN(argument) __attribute__((alloc_align(argument)))
#else
#define HAK_ALIGN(argument)
#endif

#if defined(__cplusplus) && __cplusplus >= 201703L
#define HAK_NODISCARD [[nodiscard]]
#elif HAK_HAS_ATTRIBUTE(warn_unused_result)
#define HAK_NODISCARD __attribute__((warn_unused_result))
#else
#define HAK_NODISCARD
#endif

#if defined(__cplusplus)
#define HAK_NOTHROW noexcept
#elif HAK_HAS_ATTRIBUTE(nothrow)
#define HAK_NOTHROW __attribute__((nothrow))
#else
#define HAK_NOTHROW
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Allocating. Common to all functions that return a block:
 *   - The block is aligned to 16 bytes if its size is 16 or more, and to 8 bytes if it is less.
 *   - A size of 0 gives a block of its own that can be freed.
 *   - On failure they return NULL and set errno to ENOMEM; a size above PTRDIFF_MAX always fails. On success errno is
 *     left alone.
 */

/** Allocates `size` bytes. Their contents are undefined. */
HAK_NODISCARD void *hak_malloc(size_t size) HAK_NOTHROW HAK_MALLOC HAK_SIZE(1);

/** Allocates `count` objects of `size` bytes, all zero. A product that overflows is ENOMEM. */
HAK_NODISCARD void *hak_calloc(size_t count, size_t size) HAK_NOTHROW HAK_MALLOC HAK_SIZE_PRODUCT(1, 2);

/**
 * Changes the size of `block`, moving it if it must; what fits into the new size keeps its contents. `block` NULL
 * allocates. `size` 0 frees `block` and returns NULL with errno as it was. On failure `block` is as it was.
 */
HAK_NODISCARD void *hak_realloc(void *block, size_t size) HAK_NOTHROW HAK_SIZE(2);

/** hak_realloc to `count` objects of `size` bytes. A product that overflows is ENOMEM and leaves `block` as it was. */
HAK_NODISCARD void *hak_reallocarray(void *block, size_t count, size_t size) HAK_NOTHROW HAK_SIZE_PRODUCT(2, 3);

/**
 * Allocates `size` bytes at a multiple of `alignment`, which must be a power of two; EINVAL if it is not. `size` need
 * not be a multiple of it.
 */
HAK_NODISCARD void *hak_aligned_alloc(size_t alignment, size_t size) HAK_NOTHROW HAK_MALLOC HAK_ALIGN(1) HAK_SIZE(2);

/** As hak_aligned_alloc, but rounds `alignment` up to a power of two; EINVAL if there is no such number. */
HAK_NODISCARD void *hak_memalign(size_t alignment, size_t size) HAK_NOTHROW HAK_MALLOC HAK_SIZE(2);

/**
 * Allocates `size` bytes at a multiple of `alignment`, stores the block in `*result` and returns 0. Returns EINVAL if
 * `alignment` is no power of two or no multiple of sizeof(void *), and ENOMEM if there is no memory; `*result` is then
 * as it was. Never changes errno.
 */
HAK_NODISCARD int hak_posix_memalign(void **result, size_t alignment, size_t size) HAK_NOTHROW;

/** Allocates `size` bytes at the start of a page. */
HAK_NODISCARD void *hak_valloc(size_t size) HAK_NOTHROW HAK_MALLOC HAK_SIZE(1);

/** Allocates whole pages: `size` is rounded up to a multiple of the page size, 0 to one page. */
HAK_NODISCARD void *hak_pvalloc(size_t size) HAK_NOTHROW HAK_MALLOC;

/** How many bytes of `block` may be used: its size or more. 0 for NULL. */
HAK_NODISCARD size_t hak_malloc_usable_size(const void *block) HAK_NOTHROW;

/*
 * Freeing. Never changes errno. NULL is ignored. A pointer that is not a block of this allocator, nor of the C
 * library's own, and a block that was already freed are named in one line on standard error and left alone, where that is
 * noticed: see docs/misuse.md.
 */

/** Frees `block`. */
void hak_free(void *block) HAK_NOTHROW;

/** Frees `block`, which has `size` bytes: what was asked for, or anything up to its usable size. */
void hak_free_sized(void *block, size_t size) HAK_NOTHROW;

/** Frees `block`, which was allocated with this `alignment` and this `size`. */
void hak_free_aligned_sized(void *block, size_t alignment, size_t size) HAK_NOTHROW;

/*
 * The allocator itself.
 */

/** The library's version, such as "0.1.0". */
HAK_NODISCARD const char *hak_version(void) HAK_NOTHROW;

/**
 * Gives all free memory back to the system now, instead of after the decay time: flushes what this thread keeps at
 * hand, then every free page. For a program that is about to be idle for long.
 */
void hak_collect(void) HAK_NOTHROW;

/**
 * Says that the program is about to install a filter of system calls, which is noticed by itself where `prctl` or
 * `syscall` of the C library are used for that. From then on the allocator makes no calls but those by which memory comes
 * and goes (mmap, munmap, mremap, madvise), the clock's, and futex.
 */
void hak_shut_in(void) HAK_NOTHROW;

/**
 * For programs that defragment: 1 if freeing `block` and allocating its size again in this thread would help to give
 * memory back, because few blocks are left where it lies and there is room for them elsewhere. 0 for other live blocks,
 * and for anything that is no block of this allocator. A hint of some tens of nanoseconds, from any thread.
 *
 * Move in the order ask, allocate, copy, free, one block after the other: the next block allocated after an answer of 1
 * does not come from where the one before left room.
 */
HAK_NODISCARD int hak_worth_moving(const void *block) HAK_NOTHROW;

/** What the allocator has done since the process started, and what it holds now. */
typedef struct hak_stats_t {
    uint64_t allocations;       /**< blocks allocated */
    uint64_t frees;             /**< blocks freed */
    uint64_t live_bytes;        /**< bytes of blocks in use, each block at its full size */
    uint64_t cached_bytes;      /**< bytes of free blocks that threads cache or send to each other */
    uint64_t free_bytes;        /**< bytes free in spans that have blocks in use, tails and slack included */
    uint64_t dirty_bytes;       /**< bytes free and resident, waiting for the decay */
    uint64_t purged_bytes;      /**< bytes free and not resident: purged, or never touched */
    uint64_t metadata_bytes;    /**< bytes of descriptors, thread heaps and tables */
    uint64_t mapped_bytes;      /**< bytes mapped: the sum of the six above */
    uint64_t peak_mapped_bytes; /**< the most bytes mapped at one time */
    uint64_t page_map_misses;   /**< pointers looked up that were not blocks of HAKMEM */
    uint64_t kernel_maps;       /**< calls of mmap */
    uint64_t kernel_unmaps;     /**< calls of munmap */
    uint64_t kernel_purges;     /**< calls of madvise that gave pages back */
    uint64_t kernel_remaps;     /**< calls of mremap */
    uint64_t kernel_others;     /**< other system calls: futex, advice */
    uint64_t heaps;             /**< thread heaps made */
    uint64_t segments;          /**< segments mapped now */
} hak_stats_t;

/** Fills `*out`. Exact while no other thread allocates or frees. */
void hak_stats_read(hak_stats_t *out) HAK_NOTHROW;

/** Writes statistics with those of each size class to `fd`: a table if `json` is 0, else one line of JSON. */
void hak_stats_print(int fd, int json) HAK_NOTHROW;

/*
 * Limits. They are compared with the memory that may be resident: everything mapped but what was given back or never
 * handed out. Address space that a block of more than 1 MiB has and the program never touches counts as well.
 *   - Above the soft limit all free memory goes back, caches are kept short, and the program's function is called.
 *   - What would go beyond the hard limit is refused, after all free memory was given back and the program's function
 *     was called: the allocation returns NULL with ENOMEM.
 * The control group's limits and memory pressure act as a soft limit does, in a process of more than 64 MiB.
 */

/** Limits, what is used of them, and how often they were met. Sizes are in bytes; 0 is no limit. */
typedef struct hak_limits {
    size_t soft;            /**< the soft limit */
    size_t hard;            /**< the hard limit */
    size_t used;            /**< what is used of both */
    size_t system_high;     /**< the least memory.high of the control group and those around it */
    size_t system_max;      /**< the least memory.max of them */
    size_t system_used;     /**< what the group uses whose limit is nearest, other processes included */
    size_t system_pressure; /**< time lost to memory pressure, in hundredths of a percent */
    size_t soft_times;      /**< how often the soft limit was crossed */
    size_t hard_times;      /**< how often an allocation failed at the hard limit, or would have but for the function */
    size_t system_times;    /**< how often a limit of the system was reached or pressure began */
    size_t short_caches;    /**< 1 while caches are kept short, else 0 */
} hak_limits_t;

/** Sets both limits in bytes, 0 for none. Returns 0; -1 with EINVAL, and no change, if `soft` is above `hard`. */
int hak_limits_set(size_t soft, size_t hard) HAK_NOTHROW;

/** Fills `*out`; the system's limits are read from its files at this moment. */
void hak_limits_read(hak_limits_t *out) HAK_NOTHROW;

/**
 * Registers a function to be called when a limit is reached, again about once a second while it stays reached, and
 * before an allocation fails for want of memory; NULL for none. `used` is what is used at the moment, `limit` the limit
 * that was reached, 0 for memory pressure and where the system has no more memory. Another function takes the place of
 * the one before.
 *
 * The function is called by a thread that is allocating, with no lock of the allocator held. It may allocate and free;
 * there is one call at a time, and none within another. It must return, and throw nothing; it should free what the
 * program can do without. Returns 0; -1 with ENOMEM if there is no memory to remember it.
 */
int hak_on_pressure(void (*call)(void *argument, size_t used, size_t limit), void *argument) HAK_NOTHROW;

#ifdef __cplusplus
}
#endif

#endif
