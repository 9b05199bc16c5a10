/* prefetch.h - brings mapped files into memory and into this process's page table while the program
 * already works.
 *
 * Its threads have idle priority: they run when the others wait, be it for the disk. Pages come in
 * through the mapping, so that they can be large ones (file_map.c asks for them); reading the file
 * ahead by other means would fill the page cache with small ones. */
#ifndef VINCI_BASE_PREFETCH_H
#define VINCI_BASE_PREFETCH_H

#include "base/file_map.h"

struct prefetch;

/* Starts; the files must outlive it. A hint that cannot fail: NULL when the files do not fit three
 * quarters of the memory, are too small to be worth a thread, or there is no memory for it. */
struct prefetch *prefetch_start(struct file_map *const *files, size_t n_files);

/* Bytes that were gone through so far; 0 for NULL. */
uint64_t prefetch_done(const struct prefetch *prefetch);

/* Stops it within some megabytes; accepts NULL. */
void prefetch_stop(struct prefetch *prefetch);

#endif
