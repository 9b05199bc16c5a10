/* memory.c - device memory, and who touched which part of it when.
 *
 * A device's memory is a reserved region of addresses without access, and as large a region beside
 * it that holds the bytes. Addresses are used again only when the region has been walked through,
 * so that use after free is seen. Allocations begin at multiples of 64 that are no multiples of
 * 128, as CANN promises no more; the gaps between them hold a pattern that aclrtFree checks.
 *
 * Every allocation keeps the accesses of queued work that later ones may conflict with: range,
 * stream, and the stream's clock at that time. An access is ordered before another if the other's
 * clock has reached it (vector clocks: streams by their order, events and waits between them, the
 * host by what it waited for). Two that overlap, one a write, in no order, are a race. */
#include "sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, GAP = 128, GUARD = 0xA5, FRESH = 0xFF };
static const uint64_t FILL_MOST = 8ull << 20; /* longer ones are filled at their start only */

struct access {
    uint64_t begin, end, time;
    int stream;
    bool write;
    const char *name;
};

struct allocation {
    uint64_t begin, end, serial; /* end: begin + size asked for */
    bool alive;
    struct access *accesses;
    size_t n_accesses, capacity;
};

static struct region {
    uint8_t *address, *bytes; /* what the program sees, what is stored */
    uint64_t size, next, used, peak;
    struct allocation *list; /* by address; dead ones stay to name them */
    size_t n, capacity;
} regions[MAX_DEVICES];

static uint64_t serials;
struct clock host_clock;

uint64_t memory_total(void)
{
    return sim_number("NPU_SIM_MEMORY", 64ull << 30);
}

/* What the driver itself holds. */
static uint64_t memory_reserved(void)
{
    uint64_t total = memory_total();
    return total >= 64ull << 30 ? 4ull << 30 : total >= 32ull << 30 ? 3ull << 30 : 0;
}

static struct region *region_open(int device)
{
    struct region *r = &regions[device];
    if (r->address) return r;
    for (uint64_t size = 1ull << 39; size >= 1ull << 30; size /= 2) {
        void *address =
            mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (address == MAP_FAILED) continue;
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (bytes == MAP_FAILED) {
            munmap(address, size);
            continue;
        }
        *r = (struct region){.address = address, .bytes = bytes, .size = size, .next = ALIGN};
        return r;
    }
    sim_give_up("no addresses for the device's memory");
}

static struct region *region_of(uint64_t address)
{
    for (int d = 0; d < MAX_DEVICES; d++) {
        struct region *r = &regions[d];
        uint64_t base = (uint64_t)(uintptr_t)r->address;
        if (r->address && address >= base && address < base + r->size) return r;
    }
    return NULL;
}

/* The allocation, alive or not, with the largest beginning that is not above the address. */
static struct allocation *allocation_below(struct region *r, uint64_t address)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->list[middle].begin <= address) low = middle + 1;
        else high = middle;
    }
    return low ? &r->list[low - 1] : NULL;
}

static struct allocation *allocation_of(uint64_t begin, uint64_t end)
{
    struct region *r = region_of(begin);
    struct allocation *a = r ? allocation_below(r, begin) : NULL;
    return a && a->alive && end <= a->end + 32 ? a : NULL;
}

void *sim_memory(uint64_t address)
{
    struct region *r = region_of(address);
    return r ? r->bytes + (address - (uint64_t)(uintptr_t)r->address) : NULL;
}

bool memory_is_device(const void *address)
{
    return region_of((uint64_t)(uintptr_t)address) != NULL;
}

uint64_t memory_find(uint64_t address, uint64_t size, int *device)
{
    struct allocation *a = allocation_of(address, address + size);
    if (!a || address + size > a->end) return 0;
    if (device) *device = (int)(region_of(address) - regions);
    return a->serial;
}

void memory_info(int device, uint64_t *free, uint64_t *total)
{
    uint64_t held = memory_reserved() + regions[device].used;
    *total = memory_total();
    *free = *total > held ? *total - held : 0;
}

/* Where the next `size` bytes go: index in the list. Dead neighbours make way. */
static size_t place(struct region *r, uint64_t size)
{
    uint64_t base = (uint64_t)(uintptr_t)r->address;
    if (r->next + size + GAP > r->size) { /* once around: forget the dead, take the first gap */
        size_t n = 0;
        for (size_t i = 0; i < r->n; i++)
            if (r->list[i].alive) r->list[n++] = r->list[i];
        r->n = n;
        r->next = ALIGN;
        for (size_t i = 0; i < n; i++) {
            if (r->list[i].begin - base >= r->next + size + GAP) return i;
            r->next = (r->list[i].end - base + 32 + GAP + 127) / 128 * 128 + ALIGN;
        }
        if (r->next + size + GAP > r->size) return SIZE_MAX;
    }
    return r->n;
}

static void guards(const struct allocation *a, bool write)
{
    uint8_t *before = (uint8_t *)sim_memory(a->begin) - ALIGN;
    uint8_t *after = (uint8_t *)sim_memory(a->begin) + (a->end - a->begin) + 32;
    for (int i = 0; i < ALIGN; i++) {
        if (write) before[i] = after[i] = GUARD;
        if (before[i] != GUARD || after[i] != GUARD) {
            sim_violate("memory beside an allocation of %llu bytes was overwritten",
                        (unsigned long long)(a->end - a->begin));
            return;
        }
    }
}

aclError memory_alloc(int device, void **out, size_t size)
{
    pthread_mutex_lock(&sim_lock);
    struct region *r = region_open(device);
    uint64_t rounded = (size + 31) / 32 * 32 + 32, free = 0, total = 0;
    memory_info(device, &free, &total);
    size_t at = rounded <= free ? place(r, rounded) : SIZE_MAX;
    if (at == SIZE_MAX) {
        pthread_mutex_unlock(&sim_lock);
        return sim_error(RT_MEMORY_ALLOCATION, "aclrtMalloc: %llu bytes, %llu of %llu are free",
                         (unsigned long long)size, (unsigned long long)free,
                         (unsigned long long)total);
    }
    if (r->n == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 256;
        r->list = realloc(r->list, r->capacity * sizeof *r->list);
        if (!r->list) sim_give_up("the host is out of memory");
    }
    memmove(r->list + at + 1, r->list + at, (r->n - at) * sizeof *r->list);
    r->n++;
    uint64_t begin = (uint64_t)(uintptr_t)r->address + r->next;
    struct allocation *a = &r->list[at];
    *a = (struct allocation){
        .begin = begin, .end = begin + size, .serial = ++serials, .alive = true};
    r->next = (r->next + rounded + GAP + 127) / 128 * 128 + ALIGN;
    r->used += rounded;
    guards(a, true);
    memset(sim_memory(begin), FRESH, size < FILL_MOST ? size : FILL_MOST);
    sim_count.mallocs++;
    sim_count.memory_used += rounded;
    if (sim_count.memory_used > sim_count.memory_peak)
        sim_count.memory_peak = sim_count.memory_used;
    *out = (void *)(uintptr_t)begin;
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

/* The pages inside go back to the system; what is left reads as fresh memory does. */
static void allocation_end(struct region *r, struct allocation *a)
{
    uint64_t size = a->end - a->begin, rounded = (size + 31) / 32 * 32 + 32;
    guards(a, false);
    uint8_t *bytes = sim_memory(a->begin);
    uintptr_t first = ((uintptr_t)bytes + 4095) & ~(uintptr_t)4095;
    uintptr_t last = ((uintptr_t)bytes + size) & ~(uintptr_t)4095;
    if (last > first) madvise((void *)first, last - first, MADV_DONTNEED);
    a->alive = false;
    free(a->accesses);
    a->accesses = NULL;
    a->n_accesses = a->capacity = 0;
    r->used -= rounded;
    sim_count.memory_used -= rounded;
    sim_count.frees++;
}

static bool ordered(const struct access *a, const struct clock *now)
{
    return now->time[a->stream] >= a->time;
}

aclError memory_free(void *address)
{
    uint64_t begin = (uint64_t)(uintptr_t)address;
    pthread_mutex_lock(&sim_lock);
    struct region *r = region_of(begin);
    struct allocation *a = r ? allocation_below(r, begin) : NULL;
    if (!a || a->begin != begin || !a->alive) {
        bool twice = a && a->begin == begin;
        pthread_mutex_unlock(&sim_lock);
        sim_violate("aclrtFree(%p): %s", address,
                    twice ? "freed a second time" : "not what aclrtMalloc returned");
        return sim_error(RT_PARAM_INVALID, "aclrtFree(%p): no such allocation", address);
    }
    const char *user = NULL;
    for (size_t i = 0; i < a->n_accesses && !user; i++)
        if (!ordered(&a->accesses[i], &host_clock)) user = a->accesses[i].name;
    if (user)
        sim_violate("aclrtFree(%p) of %llu bytes while %s, queued, was not waited for", address,
                    (unsigned long long)(a->end - a->begin), user);
    allocation_end(r, a);
    pthread_mutex_unlock(&sim_lock);
    return SUCCESS;
}

void memory_release_all(int device)
{
    pthread_mutex_lock(&sim_lock);
    struct region *r = &regions[device];
    size_t n = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->list[i].alive) {
            n++;
            bytes += r->list[i].end - r->list[i].begin;
            allocation_end(r, &r->list[i]);
        }
    if (n)
        sim_violate("%llu allocations of device %d, %llu bytes, were not freed",
                    (unsigned long long)n, device, (unsigned long long)bytes);
    pthread_mutex_unlock(&sim_lock);
}

/* ---- order ---- */

static void access_add(struct allocation *a, const struct access *new)
{
    if (a->n_accesses == a->capacity) {
        a->capacity = a->capacity ? 2 * a->capacity : 8;
        a->accesses = realloc(a->accesses, a->capacity * sizeof *a->accesses);
        if (!a->accesses) sim_give_up("the host is out of memory");
    }
    a->accesses[a->n_accesses++] = *new;
}

static void access_one(struct allocation *a, const char *name, int stream, const struct clock *now,
                       uint64_t begin, uint64_t end, bool write)
{
    size_t n = 0;
    bool known = false;
    for (size_t i = 0; i < a->n_accesses; i++) {
        struct access *old = &a->accesses[i];
        if (ordered(old, &host_clock)) continue; /* the host waited for it: nothing can conflict */
        bool overlaps = old->begin < end && begin < old->end;
        if (overlaps && (write || old->write) && !ordered(old, now)) {
            sim_violate(
                "race: %s%s %s [%llu, %llu) of an allocation while %s of stream %d, which it "
                "does not wait for, %s [%llu, %llu)",
                name, stream < 0 ? " by the host" : "", write ? "writes" : "reads",
                (unsigned long long)(begin - a->begin), (unsigned long long)(end - a->begin),
                old->name, old->stream, old->write ? "writes" : "reads",
                (unsigned long long)(old->begin - a->begin),
                (unsigned long long)(old->end - a->begin));
        } else if (overlaps && stream >= 0 && ordered(old, now) && begin <= old->begin &&
                   old->end <= end && (write || !old->write)) {
            /* Whatever is ordered behind this one is ordered behind that one. */
            if (write == old->write && old->stream == stream && begin == old->begin &&
                end == old->end) {
                old->time = now->time[stream];
                old->name = name;
                known = true;
                a->accesses[n++] = *old;
            }
            continue;
        }
        a->accesses[n++] = *old;
    }
    a->n_accesses = n;
    if (stream >= 0 && !known)
        access_add(a, &(struct access){begin, end, now->time[stream], stream, write, name});
}

void memory_access(const char *name, int stream, const struct clock *now,
                   const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct allocation *a = allocation_of(ranges[i].begin, ranges[i].end);
        if (a) access_one(a, name, stream, now, ranges[i].begin, ranges[i].end, ranges[i].write);
    }
}

size_t memory_poison(uint64_t begin, uint64_t end, uint8_t *bytes)
{
    struct allocation *a = allocation_of(begin, end);
    size_t n = 0;
    for (size_t i = 0; a && i < a->n_accesses; i++) {
        const struct access *old = &a->accesses[i];
        if (!old->write || ordered(old, &host_clock)) continue;
        uint64_t first = old->begin > begin ? old->begin : begin;
        uint64_t last = old->end < end ? old->end : end;
        if (first >= last) continue;
        memset(bytes + (first - begin), FRESH, last - first);
        n += last - first;
    }
    return n;
}

/* ---- pinned host memory ---- */

struct pinned_query {
    const uint8_t *address;
    size_t size;
    bool found;
};

static void pinned_visit(const void *object, void *data)
{
    const struct pinned *p = object;
    struct pinned_query *q = data;
    if (q->address >= p->bytes && q->address + q->size <= p->bytes + p->size) q->found = true;
}

bool pinned_find(const void *address, size_t size)
{
    struct pinned_query q = {address, size, false};
    handle_each(HANDLE_PINNED, pinned_visit, &q);
    return q.found;
}
