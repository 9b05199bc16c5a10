/* forward.c - the transformer of gpt-oss, the only file that knows the order of a layer.
 *
 *   t = rms_norm(x, attn_norm)
 *   q, k, v = Wq t + bq, Wk t + bk, Wv t + bv;  q, k = rope(q), rope(k)
 *   x = x + Wo attention(q, K, V, sinks) + bo        the last `sliding_window` positions, or all
 *   t = rms_norm(x, mlp_norm)
 *   x = x + sum over the chosen experts of weight * expert(t)
 *
 * then logits = W_output rms_norm(x, output_norm), for the rows that were asked for alone.
 * Source: openai/gpt-oss, gpt_oss/torch/model.py. */
#include "engine/forward.h"

#include "base/buf.h"

#include <stdlib.h>

struct forward {
    const struct model *model;
    struct device *device;
    struct kv_cache *cache;
    struct device_limits limits;
    struct profile *profile;
    struct rope rope;
    float *rope_cos, *rope_sin; /* [n_batch, head_dim / 2] */
    int32_t *tokens;            /* [n_batch] */
    struct step_seq *seqs;      /* [n_seqs] */

    /* [n_batch, n], or [output_rows, n] for the last two */
    struct device_buffer *x, *t;            /* n_hidden: residual stream, normed input */
    struct device_buffer *q, *k, *v, *attn; /* heads side by side */
    struct device_buffer *router;           /* n_experts */
    struct device_buffer *output, *logits;  /* n_hidden, n_vocab */
    uint64_t n_bytes, n_begun;
};

/* ---- creation ------------------------------------------------------------------------------ */

static enum vinci_status create_buffer(struct forward *forward, struct device_buffer **out,
                                       size_t n_rows, size_t n, struct vinci_error *err)
{
    forward->n_bytes += n_rows * n * sizeof(float);
    return forward->device->ops->buffer_create(forward->device, out, n_rows * n, err);
}

static enum vinci_status create_buffers(struct forward *f, struct vinci_error *err)
{
    const struct model_config *config = &f->model->config;
    size_t n = f->limits.n_batch, q_size = (size_t)config->n_heads * config->head_dim;
    size_t kv_size = (size_t)config->n_kv_heads * config->head_dim;
    const struct {
        struct device_buffer **out;
        size_t n_rows, n;
    } buffers[] = {
        {&f->x, n, config->n_hidden},
        {&f->t, n, config->n_hidden},
        {&f->q, n, q_size},
        {&f->k, n, kv_size},
        {&f->v, n, kv_size},
        {&f->attn, n, q_size},
        {&f->router, n, config->n_experts},
        {&f->output, f->device->output_rows, config->n_hidden},
        {&f->logits, f->device->output_rows, config->n_vocab},
    };
    enum vinci_status status = VINCI_OK;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers && status == VINCI_OK; i++)
        status = create_buffer(f, buffers[i].out, buffers[i].n_rows, buffers[i].n, err);
    return status;
}

enum vinci_status forward_create(struct forward **out, const struct model *model,
                                 struct device *device, struct kv_cache *cache,
                                 const struct device_limits *limits, struct profile *profile,
                                 struct vinci_error *err)
{
    *out = NULL;
    struct forward *forward = array_new_zero(1, sizeof *forward);
    if (!forward) return fail_memory(err, sizeof *forward, "the forward pass");
    forward->model = model;
    forward->device = device;
    forward->cache = cache;
    forward->limits = *limits;
    forward->profile = profile;
    rope_init(&forward->rope, &model->config);

    enum vinci_status status = create_buffers(forward, err);
    size_t n_table = (size_t)limits->n_batch * forward->rope.half;
    forward->rope_cos = array_new(n_table, sizeof(float));
    forward->rope_sin = array_new(n_table, sizeof(float));
    forward->tokens = array_new(limits->n_batch, sizeof(int32_t));
    forward->seqs = array_new(limits->n_seqs, sizeof *forward->seqs);
    if (status == VINCI_OK &&
        (!forward->rope_cos || !forward->rope_sin || !forward->tokens || !forward->seqs))
        status = fail_memory(err, 2 * n_table * sizeof(float), "the tables of a step");
    if (status != VINCI_OK) {
        forward_destroy(forward);
        return status;
    }
    *out = forward;
    return VINCI_OK;
}

void forward_destroy(struct forward *f)
{
    if (!f) return;
    struct device_buffer *buffers[] = {f->x,    f->t,      f->q,      f->k,     f->v,
                                       f->attn, f->router, f->output, f->logits};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        f->device->ops->buffer_destroy(f->device, buffers[i]);
    free(f->rope_cos);
    free(f->rope_sin);
    free(f->tokens);
    free(f->seqs);
    free(f);
}

uint64_t forward_bytes(const struct forward *forward)
{
    return forward->n_bytes;
}

uint64_t forward_n_begun(const struct forward *forward)
{
    return forward->n_begun;
}

/* ---- a step -------------------------------------------------------------------------------- */

static void run_layer(struct forward *f, uint32_t layer, uint32_t layer_of_kind, size_t n)
{
    const struct device_ops *ops = f->device->ops;
    const struct model_config *config = &f->model->config;
    const struct layer_weights *w = &f->model->weights.layers[layer];
    bool sliding = config->layer_is_sliding[layer];
    struct kv_pool *kv = sliding ? f->cache->window.kv : f->cache->full.kv;
    uint32_t window = sliding ? config->sliding_window : 0;
    enum profile_layers kind = sliding ? PROFILE_WINDOW : PROFILE_FULL;

    ops->rms_norm(f->device, f->x, &w->attn_norm, config->rms_norm_eps, n, f->t);
    profile_lap(f->profile, f->device, PROFILE_ATTENTION_NORM, kind);
    ops->qkv(f->device, w, f->t, f->q, f->k, f->v);
    profile_lap(f->profile, f->device, PROFILE_QKV, kind);
    ops->rope_store(f->device, f->q, f->k, f->v, kv, layer_of_kind, sliding);
    profile_lap(f->profile, f->device, PROFILE_ROPE_STORE, kind);
    ops->attention(f->device, f->q, kv, layer_of_kind, window, &w->sinks, f->attn);
    profile_lap(f->profile, f->device, PROFILE_ATTENTION, kind);
    ops->linear_add(f->device, &w->o, &w->o_bias, f->attn, n, f->x);
    profile_lap(f->profile, f->device, PROFILE_ATTENTION_OUT, kind);

    ops->rms_norm(f->device, f->x, &w->mlp_norm, config->rms_norm_eps, n, f->t);
    profile_lap(f->profile, f->device, PROFILE_MLP_NORM, kind);
    ops->linear(f->device, &w->router, &w->router_bias, f->t, n, f->router);
    profile_lap(f->profile, f->device, PROFILE_ROUTER, kind);
    ops->experts(f->device, w, f->router, f->t, f->x);
    profile_lap(f->profile, f->device, PROFILE_EXPERTS, kind);
}

/* Logits of n of the step's outputs. The best are found even if nobody asks: a recording of the
 * step serves whoever does. */
static void compute_output(struct forward *f, const uint32_t *rows, size_t n)
{
    const struct device_ops *ops = f->device->ops;
    const struct model_config *config = &f->model->config;
    ops->gather(f->device, f->x, rows, n, f->output);
    ops->rms_norm(f->device, f->output, &f->model->weights.output_norm, config->rms_norm_eps, n,
                  f->output);
    ops->linear(f->device, &f->model->weights.output, NULL, f->output, n, f->logits);
    if (f->device->finds_best) ops->best_find(f->device, f->logits, n, config->n_vocab);
}

/* `recorded`: the device computes them by itself, there is only the result to read. */
static void read_output(struct forward *f, const struct step *step, bool recorded, float *logits)
{
    size_t n_vocab = f->model->config.n_vocab, n_rows = f->device->output_rows;
    for (size_t first = 0; first < step->n_outputs; first += n_rows) {
        size_t n = step->n_outputs - first < n_rows ? step->n_outputs - first : n_rows;
        if (!recorded) compute_output(f, step->outputs + first, n);
        f->device->ops->buffer_read(f->device, f->logits, 0, n * n_vocab, logits + first * n_vocab);
    }
}

static void send_output(struct forward *f, const struct step *step, bool recorded, bool best,
                        unsigned slot)
{
    size_t n = step->n_outputs;
    if (n == 0) return;
    if (!recorded) compute_output(f, step->outputs, n);
    if (best) f->device->ops->best_send(f->device, n, slot);
    else f->device->ops->buffer_send(f->device, f->logits, n * f->model->config.n_vocab, slot);
}

static void run_layers(struct forward *f, const struct step *step)
{
    const struct model_config *config = &f->model->config;
    uint32_t n_full = 0, n_sliding = 0;
    f->device->ops->embed(f->device, &f->model->weights.embedding, f->x);
    profile_lap(f->profile, f->device, PROFILE_EMBED, PROFILE_OUTSIDE);
    for (uint32_t layer = 0; layer < config->n_layers; layer++)
        run_layer(f, layer, config->layer_is_sliding[layer] ? n_sliding++ : n_full++,
                  step->n_tokens);
}

/* The step's tokens, positions and pages, one sequence behind the other. */
static struct step describe(struct forward *f, const struct forward_seq *seqs, uint32_t n_seqs,
                            const uint32_t *outputs, size_t n_outputs)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < n_seqs; s++) {
        const struct kv_seq *kv = seqs[s].kv;
        uint32_t position = kv->n_positions + seqs[s].n_ahead;
        f->seqs[s] =
            (struct step_seq){n, seqs[s].n_tokens, position, kv->full_pages, kv->window_pages};
        for (uint32_t i = 0; i < seqs[s].n_tokens; i++, n++) {
            if (seqs[s].tokens) f->tokens[n] = seqs[s].tokens[i];
            rope_table(&f->rope, position + i, f->rope_cos + (size_t)n * f->rope.half,
                       f->rope_sin + (size_t)n * f->rope.half);
        }
    }
    const int32_t *tokens = seqs[0].tokens ? f->tokens : NULL;
    return (struct step){n, tokens, f->rope_cos, f->rope_sin, n_seqs, f->seqs, n_outputs, outputs};
}

static enum vinci_status check(const struct forward *f, const struct forward_seq *seqs,
                               uint32_t n_seqs, struct vinci_error *err)
{
    uint64_t n_tokens = 0;
    for (uint32_t s = 0; s < n_seqs; s++) n_tokens += seqs[s].n_tokens;
    if (n_seqs < 1 || n_seqs > f->limits.n_seqs || n_tokens < 1 || n_tokens > f->limits.n_batch)
        return fail(err, VINCI_LIMIT,
                    "a step: expected 1 to %u tokens of 1 to %u sequences, got %llu of %u",
                    f->limits.n_batch, f->limits.n_seqs, (unsigned long long)n_tokens, n_seqs);
    for (uint32_t s = 0; s < n_seqs; s++)
        for (uint32_t i = 0; seqs[s].tokens && i < seqs[s].n_tokens; i++)
            if (seqs[s].tokens[i] < 0 || (uint32_t)seqs[s].tokens[i] >= f->model->config.n_vocab)
                return fail(err, VINCI_LIMIT, "token id: expected 0 to %u, got %d",
                            f->model->config.n_vocab - 1, seqs[s].tokens[i]);
    return model_check_files(f->model, err);
}

/* `slot` NULL: the results are waited for and read. */
static enum vinci_status run_step(struct forward *forward, const struct forward_seq *seqs,
                                  uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                                  const struct forward_output *out, const unsigned *slot,
                                  struct vinci_error *err)
{
    struct device *device = forward->device;
    enum vinci_status status = check(forward, seqs, n_seqs, err);
    for (uint32_t s = 0; s < n_seqs && status == VINCI_OK; s++)
        status =
            kv_seq_reserve(seqs[s].kv, forward->cache, seqs[s].n_ahead + seqs[s].n_tokens, err);
    if (status != VINCI_OK) return status;

    struct step step = describe(forward, seqs, n_seqs, outputs, n_outputs);
    forward->n_begun++;
    bool recorded = !device->ops->begin(device, &step);
    profile_start(forward->profile, device);
    if (!recorded) run_layers(forward, &step);
    if (slot) send_output(forward, &step, recorded, out->best != NULL, *slot);
    else read_output(forward, &step, recorded, out->logits);
    if (n_outputs) profile_lap(forward->profile, device, PROFILE_OUTPUT, PROFILE_OUTSIDE);
    return device->ops->end(device, err);
}

enum vinci_status forward_step(struct forward *forward, const struct forward_seq *seqs,
                               uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                               float *logits, struct vinci_error *err)
{
    const struct forward_output out = {.logits = logits};
    enum vinci_status status = run_step(forward, seqs, n_seqs, outputs, n_outputs, &out, NULL, err);
    for (uint32_t s = 0; s < n_seqs && status == VINCI_OK; s++)
        kv_seq_advance(seqs[s].kv, seqs[s].n_tokens);
    return status;
}

enum vinci_status forward_start(struct forward *forward, const struct forward_seq *seqs,
                                uint32_t n_seqs, const uint32_t *outputs, size_t n_outputs,
                                const struct forward_output *out, unsigned slot,
                                struct vinci_error *err)
{
    return run_step(forward, seqs, n_seqs, outputs, n_outputs, out,
                    forward->device->runs_ahead ? &slot : NULL, err);
}

enum vinci_status forward_finish(struct forward *forward, size_t n_outputs,
                                 const struct forward_output *out, unsigned slot,
                                 struct vinci_error *err)
{
    struct device *device = forward->device;
    if (!device->runs_ahead || n_outputs == 0) return VINCI_OK;
    profile_start(forward->profile, device);
    enum vinci_status status = device->ops->receive(device, slot, out->logits, out->best, err);
    profile_lap(forward->profile, device, PROFILE_OUTPUT, PROFILE_OUTSIDE);
    return status;
}
