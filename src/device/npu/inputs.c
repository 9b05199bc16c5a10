/* inputs.c - what changes from step to step: tokens, positions, pages, copied to the device at
 * once.
 *
 * Everything lies behind each other in one block, in an order and with sizes that follow from the
 * step's padded shape alone, so a recorded step finds it where it was. The host's copies are used
 * in turn: the device may still be reading the last one. */
#include "base/buf.h"
#include "base/lang.h"
#include "device/npu/npu.h"

#include <stdlib.h>
#include <string.h>

/* A place in the block: on the host to write to, on the device to read from. */
struct place {
    uint8_t *host, *device;
    size_t used;
};

/* There is room: npu_inputs_create made the block for the largest step, and room_needed tells
 * whether this one is larger. */
static void *take(struct place *place, size_t n, size_t size, void *on_device)
{
    void *host = place->host + place->used;
    void *device = place->device + place->used;
    memcpy(on_device, &device, sizeof device);
    place->used += round_up(n * size, NPU_ALIGN);
    return host;
}

static uint32_t pages_for(uint64_t n_positions)
{
    return (uint32_t)((n_positions + NPU_PAGE - 1) / NPU_PAGE);
}

/* The most pages that n consecutive positions lie in. */
static uint32_t pages_touched(uint64_t n)
{
    return n < 2 ? (uint32_t)n : (uint32_t)((n - 2) / NPU_PAGE + 2);
}

static uint32_t first_page(const struct npu_device *device, uint32_t position, int kind)
{
    uint32_t seen = device->config->sliding_window - 1;
    return kind == WINDOW && position > seen ? (position - seen) / NPU_PAGE : 0;
}

/* The first that is not below n, or max. */
static uint32_t power_of_two(uint32_t n, uint32_t max)
{
    uint32_t power = 1;
    while (power < n) power *= 2;
    return power < max ? power : max;
}

/* Few different sizes, so that few recordings serve a growing sequence: 1, 2, 4, 8, 16, 24, ...
 * (the fused operator, which reads no more than there is, takes powers of two) */
static uint32_t page_bucket(uint32_t n, uint32_t max)
{
    uint32_t rounded = n > 8 ? (uint32_t)round_up(n, 8) : power_of_two(n, 8);
    return rounded < max ? rounded : max;
}

/* ---- shape --------------------------------------------------------------------------------- */

static bool is_decode(const struct step *step)
{
    return step->n_tokens == step->n_seqs && step->n_outputs == step->n_seqs;
}

static void add_group(struct npu_device *device, const struct step *step, size_t first_seq,
                      uint32_t n_seqs, uint32_t lanes)
{
    const struct model_config *config = device->config;
    const struct step_seq *first = &step->seqs[first_seq];
    uint32_t ctx_pages = pages_for(device->limits.n_ctx);
    struct attention_group *group = &device->in.groups[device->in.n_groups++];
    *group = (struct attention_group){first->first_token, lanes, first->n_tokens, {0}, {0}, {0}};
    for (uint32_t s = 0; s < n_seqs; s++) {
        uint32_t n = pages_for((uint64_t)first[s].position + first[s].n_tokens);
        if (n > group->n_pages[FULL]) group->n_pages[FULL] = n;
    }
    uint32_t touched = pages_touched((uint64_t)config->sliding_window - 1 + first->n_tokens);
    group->n_pages[WINDOW] = touched < ctx_pages ? touched : ctx_pages;
}

/* How attention is computed, and pages rounded up accordingly. */
static void find_attention(struct npu_device *device)
{
    struct step_inputs *in = &device->in;
    uint32_t ctx_pages = pages_for(device->limits.n_ctx);
    struct attention_group *first = &in->groups[0];
    in->fused = device->use_fused_attention;
    if (in->decode && in->fused)
        in->fused = device->use_fused_decode &&
                    (uint64_t)in->n_rows * power_of_two(first->n_pages[FULL], ctx_pages) >=
                        device->fused_decode_pages;
    for (uint32_t g = 0; g < in->n_groups; g++) {
        uint32_t *n_pages = &in->groups[g].n_pages[FULL];
        *n_pages = in->decode && in->fused ? power_of_two(*n_pages, ctx_pages)
                                           : page_bucket(*n_pages, ctx_pages);
    }
}

/* Rows, outputs and groups of the step. */
static void find_shape(struct npu_device *device, const struct step *step)
{
    struct step_inputs *in = &device->in;
    uint32_t n_seqs = (uint32_t)step->n_seqs;
    in->decode = is_decode(step);
    in->n_groups = 0;
    uint32_t lanes = in->decode ? power_of_two(n_seqs, device->limits.n_seqs) : 0;
    in->n_lanes = in->decode ? lanes : n_seqs;
    in->n_rows = in->decode ? lanes : (uint32_t)step->n_tokens;
    in->n_outputs = in->decode ? lanes : (uint32_t)step->n_outputs;
    for (uint32_t s = 0, n; s < n_seqs; s += n) {
        for (n = 1; s + n < n_seqs && step->seqs[s].n_tokens == 1; n++)
            if (step->seqs[s + n].n_tokens != 1) break;
        add_group(device, step, s, n, in->decode ? lanes : n);
    }
    find_attention(device);
    for (int kind = 0; kind < N_KINDS; kind++) {
        in->n_blocks[kind] = 0;
        for (uint32_t g = 0; g < in->n_groups; g++)
            if (in->groups[g].n_pages[kind] > in->n_blocks[kind])
                in->n_blocks[kind] = in->groups[g].n_pages[kind];
    }
}

/* ---- contents ------------------------------------------------------------------------------ */

/* The page in the pool of a sequence's page; where there is none, one that may be read. */
static int32_t page_of(const struct step_seq *seq, int kind, uint32_t page)
{
    uint32_t last = (seq->position + seq->n_tokens - 1) / NPU_PAGE;
    const int32_t *pages = kind == WINDOW ? seq->window_pages : seq->full_pages;
    return page <= last && pages[page] >= 0 ? pages[page] + PAGES_BEFORE : PAGE_SPARE;
}

static void fill_rows(struct npu_device *device, const struct step *step, struct place *place)
{
    struct step_inputs *in = &device->in;
    size_t half = device->config->head_dim / 2, n = in->n_rows;
    float row[2 * MAX_HEAD_DIM];
    int32_t *tokens = take(place, n, sizeof *tokens, &in->tokens);
    int64_t *rows = take(place, in->n_outputs, sizeof *rows, &in->rows);
    uint8_t *rope = take(place, n, 4 * half, &in->rope);
    int64_t *slots[N_KINDS];
    float *positions[N_KINDS];
    for (int kind = 0; kind < N_KINDS; kind++) {
        slots[kind] = take(place, n, sizeof **slots, &in->slots[kind]);
        positions[kind] = take(place, n, sizeof **positions, &in->positions[kind]);
    }
    for (size_t i = 0; i < in->n_outputs; i++)
        rows[i] = i < step->n_outputs ? step->outputs[i] : step->outputs[0];
    for (size_t s = 0, t = 0; s < step->n_seqs || t < n; s++) {
        bool padding = s >= step->n_seqs; /* as the first lane, but what it writes is not kept */
        const struct step_seq *seq = &step->seqs[padding ? 0 : s];
        for (uint32_t i = 0; i < seq->n_tokens; i++, t++) {
            uint32_t from = seq->first_token + i, position = seq->position + i;
            tokens[t] = step->tokens ? step->tokens[from] : 0;
            memcpy(row, step->rope_cos + from * half, half * sizeof *row);
            memcpy(row + half, step->rope_sin + from * half, half * sizeof *row);
            npu_from_float(device->act, row, 2 * half, rope + t * 4 * half);
            for (int kind = 0; kind < N_KINDS; kind++) {
                int64_t page = padding ? PAGE_SPARE : page_of(seq, kind, position / NPU_PAGE);
                slots[kind][t] = page * NPU_PAGE + position % NPU_PAGE;
                uint32_t base = first_page(device, seq->position, kind) * NPU_PAGE;
                positions[kind][t] = (float)(position - base) * NPU_FAR;
            }
        }
    }
}

static void fill_group(struct npu_device *device, const struct step *step, size_t first_seq,
                       struct attention_group *group, struct place *place)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        uint32_t n = group->n_pages[kind];
        int64_t *pages = take(place, (size_t)group->n_seqs * (n + 1), 8, &group->pages[kind]);
        for (uint32_t s = 0; s < group->n_seqs; s++) {
            const struct step_seq *seq =
                &step->seqs[first_seq + s < step->n_seqs ? first_seq + s : 0];
            uint32_t first = first_page(device, seq->position, kind);
            for (uint32_t i = 0; i < n; i++) *pages++ = page_of(seq, kind, first + i);
            *pages++ = PAGE_ZERO;
        }
    }
}

/* For fused attention; a padded lane looks at one key, which is somebody's or zero. */
static void fill_tables(struct npu_device *device, const struct step *step, struct place *place)
{
    struct step_inputs *in = &device->in;
    for (int kind = 0; kind < N_KINDS; kind++) {
        size_t n = in->n_blocks[kind];
        int32_t *table = take(place, in->n_lanes * n, 4, &in->block_table[kind]);
        for (uint32_t s = 0; s < in->n_lanes; s++) {
            const struct step_seq *seq = s < step->n_seqs ? &step->seqs[s] : NULL;
            uint32_t first = seq ? first_page(device, seq->position, kind) : 0;
            for (size_t i = 0; i < n; i++)
                table[s * n + i] = seq ? page_of(seq, kind, first + (uint32_t)i) : PAGE_SPARE;
            in->kv_lengths[kind][s] =
                seq ? (int64_t)seq->position + seq->n_tokens - (int64_t)first * NPU_PAGE : 1;
            in->q_ends[s] = seq ? seq->first_token + seq->n_tokens : s + 1;
        }
    }
}

/* What lay_out will take for the shape that was found. */
static size_t room_needed(const struct npu_device *device)
{
    const struct step_inputs *in = &device->in;
    size_t n = round_up(in->n_rows * sizeof *in->tokens, NPU_ALIGN) +
               round_up(in->n_outputs * sizeof *in->rows, NPU_ALIGN) +
               round_up((size_t)in->n_rows * 2 * device->config->head_dim, NPU_ALIGN);
    for (int kind = 0; kind < N_KINDS; kind++) {
        n += round_up(in->n_rows * sizeof **in->slots, NPU_ALIGN);
        n += round_up(in->n_rows * sizeof **in->positions, NPU_ALIGN);
        if (in->fused)
            n += round_up((size_t)in->n_lanes * in->n_blocks[kind] * sizeof **in->block_table,
                          NPU_ALIGN);
        for (uint32_t g = 0; g < in->n_groups && !in->fused; g++) {
            const struct attention_group *group = &in->groups[g];
            n +=
                round_up((size_t)group->n_seqs * (group->n_pages[kind] + 1) * sizeof **group->pages,
                         NPU_ALIGN);
        }
    }
    return n;
}

/* Fills the block on the host, of the shape that was found; returns its size. */
static size_t lay_out(struct npu_device *device, const struct step *step, uint8_t *host)
{
    struct step_inputs *in = &device->in;
    struct place place = {host, device->input_device, 0};
    size_t seq = 0;
    fill_rows(device, step, &place);
    for (uint32_t g = 0; g < in->n_groups && !in->fused; g++) {
        fill_group(device, step, seq, &in->groups[g], &place);
        seq += in->groups[g].n_seqs;
    }
    if (in->fused) fill_tables(device, step, &place);
    return place.used;
}

/* ---- the device ---------------------------------------------------------------------------- */

void npu_inputs_create(struct npu_device *device)
{
    const struct device_limits *limits = &device->limits;
    struct step_inputs *in = &device->in;
    size_t n = limits->n_batch, n_seqs = limits->n_seqs;
    size_t ctx_pages = pages_for(limits->n_ctx) + 2;
    /* For each token its row and a window's pages, for each sequence all pages, in both forms. */
    device->input_bytes =
        round_up(n * (4 + 8 + 2 * device->config->head_dim + 24) +
                     n_seqs * 2 * ctx_pages * (8 + 4) + (n_seqs + 8) * 8 * NPU_ALIGN,
                 4096);
    device->input_device = npu_alloc(device, device->input_bytes, _("the inputs of a step"));
    for (int i = 0; i < NPU_INPUT_SLOTS; i++) {
        device->input_host[i] = npu_pinned(device, device->input_bytes);
        if (device->status == VINCI_OK)
            npu_check(device, device->cann->aclrtCreateEvent(&device->input_event[i]),
                      "aclrtCreateEvent");
    }
    in->groups = array_new_zero(n_seqs, sizeof *in->groups);
    in->q_ends = array_new_zero(n_seqs, sizeof *in->q_ends);
    in->kv_lengths[FULL] = array_new_zero(n_seqs, sizeof **in->kv_lengths);
    in->kv_lengths[WINDOW] = array_new_zero(n_seqs, sizeof **in->kv_lengths);
    in->longest = array_new_zero(n_seqs, sizeof *in->longest);
    if (device->status == VINCI_OK && (!in->groups || !in->q_ends || !in->kv_lengths[FULL] ||
                                       !in->kv_lengths[WINDOW] || !in->longest))
        device->status = fail_memory(&device->err, n_seqs * sizeof *in->groups, "a step's inputs");
}

void npu_inputs_destroy(struct npu_device *device)
{
    struct step_inputs *in = &device->in;
    for (int i = 0; i < NPU_INPUT_SLOTS; i++)
        if (device->input_event[i]) device->cann->aclrtDestroyEvent(device->input_event[i]);
    free(in->groups);
    free(in->q_ends);
    free(in->kv_lengths[FULL]);
    free(in->kv_lengths[WINDOW]);
    free(in->longest);
}

void npu_inputs_stage(struct npu_device *device, const struct step *step)
{
    const struct cann *cann = device->cann;
    unsigned slot = device->input_next;
    device->input_next = (slot + 1) % NPU_INPUT_SLOTS;
    if (device->input_used[slot]) {
        aclrtEventRecordedStatus state = ACL_EVENT_RECORDED_STATUS_NOT_READY;
        npu_check(device, cann->aclrtQueryEventStatus(device->input_event[slot], &state),
                  "aclrtQueryEventStatus");
        if (device->status == VINCI_OK && state != ACL_EVENT_RECORDED_STATUS_COMPLETE) {
            device->counters.n_syncs++;
            npu_check(device, cann->aclrtSynchronizeEvent(device->input_event[slot]),
                      "aclrtSynchronizeEvent");
        }
    }
    if (device->status != VINCI_OK) return;
    find_shape(device, step);
    size_t needed = room_needed(device);
    if (needed > device->input_bytes) {
        device->status = fail(&device->err, VINCI_LIMIT,
                              "%s: the inputs of a step of %u tokens need %zu bytes, %zu are there",
                              device->base.name, device->in.n_rows, needed, device->input_bytes);
        return;
    }
    size_t n = lay_out(device, step, device->input_host[slot]);
    device->counters.n_copies++;
    device->counters.bytes_up += n;
    npu_check(device,
              cann->aclrtMemcpyAsync(device->input_device, device->input_bytes,
                                     device->input_host[slot], n, ACL_MEMCPY_HOST_TO_DEVICE,
                                     device->stream),
              "aclrtMemcpyAsync");
    if (device->status != VINCI_OK) return;
    npu_check(device, cann->aclrtRecordEvent(device->input_event[slot], device->stream),
              "aclrtRecordEvent");
    device->input_used[slot] = true;
    size_t n_best = device->in.n_rows * sizeof *device->in.tokens;
    if (!step->tokens && device->status == VINCI_OK)
        npu_check(device,
                  cann->aclrtMemcpyAsync(device->in.tokens, n_best, device->scratch->best, n_best,
                                         ACL_MEMCPY_DEVICE_TO_DEVICE, device->stream),
                  "aclrtMemcpyAsync");
}
