/* usage.c - see usage.h. */
#include "bench/usage.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

double usage_busy(struct usage *usage)
{
    /* user nice system idle iowait irq softirq steal: what is neither idle nor waiting is work,
     * another guest's time (steal) included: it is not to be had either. */
    unsigned long long t[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return (double)NAN;
    int n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                   &t[4], &t[5], &t[6], &t[7]);
    fclose(file);
    if (n < 4) return (double)NAN;
    struct usage now = {0, 0};
    for (int i = 0; i < 8; i++) {
        now.total += t[i];
        if (i != 3 && i != 4) now.busy += t[i];
    }
    struct usage before = *usage;
    *usage = now;
    if (before.total == 0 || now.total <= before.total || now.busy < before.busy)
        return (double)NAN;
    return (double)(now.busy - before.busy) / (double)(now.total - before.total);
}

/* The mean of /proc/cpuinfo's "cpu MHz" (x86). */
static double cpuinfo_frequency(void)
{
    char line[256];
    double sum = 0, mhz;
    int n = 0;
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return (double)NAN;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "cpu MHz : %lf", &mhz) == 1) {
            sum += mhz;
            n++;
        }
    fclose(file);
    return n > 0 ? 1e6 * sum / n : (double)NAN;
}

/* One number out of every file of a pattern. */
static size_t read_numbers(const char *pattern, double *sum, double *most)
{
    glob_t files;
    size_t n = 0;
    *sum = *most = 0;
    if (glob(pattern, GLOB_NOSORT, NULL, &files) != 0) return 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        double value;
        FILE *file = fopen(files.gl_pathv[i], "re");
        if (!file) continue;
        if (fscanf(file, "%lf", &value) == 1) {
            *sum += value;
            *most = n == 0 || value > *most ? value : *most;
            n++;
        }
        fclose(file);
    }
    globfree(&files);
    return n;
}

double usage_frequency(void)
{
    double sum, most;
    size_t n =
        read_numbers("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq", &sum, &most);
    return n > 0 ? 1e3 * sum / (double)n : cpuinfo_frequency();
}

double usage_temperature(void)
{
    double sum, most;
    size_t n = read_numbers("/sys/class/thermal/thermal_zone*/temp", &sum, &most);
    return n > 0 ? most / 1e3 : (double)NAN;
}
