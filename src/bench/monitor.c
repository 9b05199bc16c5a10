/* monitor.c - samples how busy the machine is. After an hour the samples are thinned out by half
 * and taken half as often, so that a long run needs no more memory. */
#include "bench/monitor.h"

#include "base/clock.h"
#include "base/lang.h"
#include "base/status.h"
#include "bench/usage.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAMPLES_MAX = 7200 };

struct monitor {
    struct monitor_npu npu; /* no id: none */
    double start, period;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;                      /* under the mutex */
    struct monitor_sample *samples; /* the thread's until it has ended */
    size_t n;
};

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double own_seconds(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return 0;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void take_npu(const struct monitor_npu *npu, struct monitor_sample *sample)
{
    struct vinci_device_info *devices = NULL;
    size_t n = 0;
    if (!npu->id || vinci_devices(&devices, &n, npu->places, NULL, NULL, NULL) != VINCI_OK) return;
    for (size_t i = 0; i < n; i++) {
        const struct vinci_device_info *d = &devices[i];
        if (strcmp(d->id, npu->id) != 0) continue;
        sample->npu_busy = d->utilisation_percent / 100;
        sample->npu_temperature = d->temperature_celsius;
        sample->npu_power = d->power_watts;
        if (d->memory_bytes > 0)
            sample->npu_memory = (double)(d->memory_bytes - d->memory_free_bytes);
    }
    vinci_free(devices);
}

static void take(struct monitor *monitor, struct usage *usage, double *own_before,
                 double *time_before)
{
    double time = seconds_now() - monitor->start, own = own_seconds();
    double busy = usage_busy(usage), processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
    double passed = time - *time_before;
    bool first = *time_before < 0;
    *time_before = time;
    struct monitor_sample sample = {time,
                                    busy,
                                    (own - *own_before) / passed / processors,
                                    usage_frequency(),
                                    usage_temperature(),
                                    resident_bytes(),
                                    (double)NAN,
                                    (double)NAN,
                                    (double)NAN,
                                    (double)NAN};
    *own_before = own;
    /* Nothing to compare with yet, or too short a time to say anything. */
    if (first || !(passed > 0.02)) return;
    take_npu(&monitor->npu, &sample);
    if (monitor->n == SAMPLES_MAX) {
        for (size_t i = 0; i < SAMPLES_MAX / 2; i++)
            monitor->samples[i] = monitor->samples[2 * i + 1];
        monitor->n = SAMPLES_MAX / 2;
        monitor->period *= 2;
    }
    monitor->samples[monitor->n++] = sample;
}

static void *watch(void *user)
{
    struct monitor *monitor = user;
    struct usage usage = {0, 0};
    double own = own_seconds(), time = -1;
    bool stop = false;
    while (!stop) {
        take(monitor, &usage, &own, &time);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        double wait = (double)until.tv_nsec * 1e-9 + monitor->period;
        until.tv_sec += (time_t)wait;
        until.tv_nsec = (long)((wait - floor(wait)) * 1e9);
        pthread_mutex_lock(&monitor->mutex);
        while (!monitor->stop &&
               pthread_cond_timedwait(&monitor->wake, &monitor->mutex, &until) == 0)
            continue;
        stop = monitor->stop;
        pthread_mutex_unlock(&monitor->mutex);
    }
    take(monitor, &usage, &own, &time);
    return NULL;
}

enum vinci_status monitor_start(struct monitor **out, const struct monitor_npu *npu,
                                struct vinci_error *err)
{
    pthread_condattr_t attributes;
    *out = NULL;
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor) return fail_memory(err, sizeof *monitor, "the monitor");
    monitor->samples = calloc(SAMPLES_MAX, sizeof *monitor->samples);
    if (!monitor->samples) {
        free(monitor);
        return fail_memory(err, SAMPLES_MAX * sizeof *monitor->samples, "the monitor");
    }
    if (npu) monitor->npu = *npu;
    monitor->start = seconds_now();
    monitor->period = 0.5;
    pthread_mutex_init(&monitor->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int error = pthread_create(&monitor->thread, NULL, watch, monitor);
    if (error) {
        monitor_close(monitor);
        return fail(err, VINCI_FAILED, "the monitor cannot start: %s", _(strerror(error)));
    }
    monitor->running = true;
    *out = monitor;
    return VINCI_OK;
}

double monitor_time(const struct monitor *monitor)
{
    return seconds_now() - monitor->start;
}

void monitor_stop(struct monitor *monitor)
{
    if (!monitor || !monitor->running) return;
    pthread_mutex_lock(&monitor->mutex);
    monitor->stop = true;
    pthread_cond_signal(&monitor->wake);
    pthread_mutex_unlock(&monitor->mutex);
    pthread_join(monitor->thread, NULL);
    monitor->running = false;
}

const struct monitor_sample *monitor_samples(const struct monitor *monitor, size_t *n)
{
    *n = monitor->n;
    return monitor->samples;
}

void monitor_close(struct monitor *monitor)
{
    if (!monitor) return;
    monitor_stop(monitor);
    pthread_cond_destroy(&monitor->wake);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor->samples);
    free(monitor);
}
