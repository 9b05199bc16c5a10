/* kernel_bench.h - times every kernel of every level against the machine's own limits. */
#ifndef VINCI_TESTS_KERNEL_BENCH_H
#define VINCI_TESTS_KERNEL_BENCH_H

/* Prints a table of the entries whose "<isa> <name>" contains `filter`; 0, or 1 when memory is
 * short. */
int kernel_bench(const char *filter);

#endif
