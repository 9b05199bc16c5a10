#include "kernel_bench.h"
int kernel_bench(const char *filter)
{
    (void)filter;
    return 1;
}
