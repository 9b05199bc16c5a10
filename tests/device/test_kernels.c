/* test_kernels.c - every kernel of every level this machine runs, against the scalar kernels: the
 * same bits, for any shape, split, stride and special value; nothing written beside the outputs,
 * nothing read behind the last row.
 *
 * One test per level and table entry; entries that a level takes over from the level below are not
 * repeated, levels that the machine lacks are shown as skipped. NaN equals NaN whatever its bits.
 * The check functions return false with a message instead of failing, so that the last tests can
 * feed them kernels that are wrong and see them noticed.
 *
 * `test_kernels --bench [filter]` times the entries instead (kernel_bench.c). */
#include "kernel_bench.h"
#include "kernel_data.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What one test checks: an entry of `kernels`, expected to behave as that of `scalar`. */
struct subject {
    const struct cpu_kernels *kernels, *scalar;
    enum dtype dtype;
    char message[512];
};

static bool wrong(struct subject *s, const char *format, ...) VINCI_PRINTF(2, 3);
static bool wrong(struct subject *s, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(s->message, sizeof s->message, format, list);
    va_end(list);
    return false;
}

static bool same(float a, float b)
{
    return bits_from_float(a) == bits_from_float(b) || (a != a && b != b);
}

/* The first of n floats that differs, or n. */
static size_t first_difference(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!same(a[i], b[i])) return i;
    return n;
}

/* n random floats in guarded memory that ends with them. */
static float *guarded_floats(struct guarded *g, struct rng *rng, size_t n, enum fill fill)
{
    guarded_new(g, n * sizeof(float), sizeof(float));
    fill_f32(rng, fill, (float *)(void *)g->data, n);
    return (float *)(void *)g->data;
}

/* ---- linear -------------------------------------------------------------------------------- */

struct linear_case {
    size_t n_rows, n_cols, n_tokens;
    enum layout layout;
    enum fill fill;
    bool whole; /* all rows in pieces; else one range from the middle */
};

/* y of one kernel: [n_tokens][n_rows], canary where no row was asked for. */
static void run_linear(linear_fn *fn, const struct linear_case *c, const struct linear_args *args,
                       const size_t *cuts, size_t n_cuts, struct guarded *y)
{
    struct linear_args own = *args;
    float **rows = calloc(c->n_tokens, sizeof *rows);
    assert_non_null(rows);
    for (size_t t = 0; t < c->n_tokens; t++)
        rows[t] = (float *)(void *)(y->data + t * c->n_rows * sizeof(float));
    own.y = rows;
    for (size_t i = 0; i + 1 < n_cuts; i++) fn(&own, cuts[i], cuts[i + 1]);
    free(rows);
}

static size_t random_cuts(struct rng *rng, const struct linear_case *c, size_t cuts[8])
{
    size_t n = 0;
    cuts[n++] = c->whole ? 0 : rng_below(rng, c->n_rows);
    while (n < 6 && cuts[n - 1] < c->n_rows)
        cuts[n] = rng_between(rng, cuts[n - 1] + 1, c->n_rows), n++;
    if (c->whole && cuts[n - 1] < c->n_rows) cuts[n++] = c->n_rows;
    return n;
}

static bool check_linear_case(struct subject *s, struct rng *rng, const struct linear_case *c,
                              bool q8)
{
    struct test_matrix w;
    struct test_rows x;
    struct guarded y, expected, scratch, scalar_scratch;
    size_t cuts[8], n_cuts = random_cuts(rng, c, cuts), n_out = c->n_tokens * c->n_rows;
    bool ok = true;

    test_matrix_new(&w, rng, s->dtype, c->n_rows, c->n_cols, c->layout, c->fill);
    if (q8) test_rows_new_q8(&x, rng, c->n_tokens, c->n_cols, q8_order_of(s->dtype), c->fill);
    else test_rows_new(&x, rng, c->n_tokens, c->n_cols, c->fill);
    guarded_new(&y, n_out * sizeof(float), sizeof(float));
    guarded_new(&expected, n_out * sizeof(float), sizeof(float));
    guarded_new(&scratch, cpu_kernels_scratch_bytes(s->kernels, c->n_cols), 64);
    guarded_new(&scalar_scratch, cpu_kernels_scratch_bytes(s->scalar, c->n_cols), 64);
    memset(scratch.data, 0xff, scratch.n);

    struct linear_args args = {
        .w = &w.m, .x = x.x, .n_tokens = c->n_tokens, .scratch = scratch.data};
    run_linear(q8 ? s->kernels->q8_linear[s->dtype] : s->kernels->f32_linear[s->dtype], c, &args,
               cuts, n_cuts, &y);
    args.scratch = scalar_scratch.data;
    run_linear(q8 ? s->scalar->q8_linear[s->dtype] : s->scalar->f32_linear[s->dtype], c, &args,
               cuts, n_cuts, &expected);

    const float *a = (const float *)(const void *)y.data;
    const float *b = (const float *)(const void *)expected.data;
    size_t i = first_difference(a, b, n_out);
    if (i < n_out) {
        char ranges[128];
        size_t used = 0;
        for (size_t j = 0; j < n_cuts && used < sizeof ranges; j++)
            used += (size_t)snprintf(ranges + used, sizeof ranges - used, " %zu", cuts[j]);
        ok = wrong(s,
                   "%zu rows x %zu cols x %zu tokens, %s%s, ranges cut at%s: y[token %zu][row "
                   "%zu] = %.9g (%08x), expected %.9g (%08x)",
                   c->n_rows, c->n_cols, c->n_tokens, LAYOUT_NAMES[c->layout],
                   c->fill == FILL_SPECIAL ? ", special values" : "", ranges, i / c->n_rows,
                   i % c->n_rows, a[i], bits_from_float(a[i]), b[i], bits_from_float(b[i]));
    } else if (!guarded_intact(&y) || !guarded_intact(&scratch)) {
        ok = wrong(s, "%zu rows x %zu cols x %zu tokens: bytes beside %s were written", c->n_rows,
                   c->n_cols, c->n_tokens, guarded_intact(&y) ? "the scratch" : "y");
    }
    test_matrix_free(&w);
    test_rows_free(&x);
    guarded_free(&y);
    guarded_free(&expected);
    guarded_free(&scratch);
    guarded_free(&scalar_scratch);
    return ok;
}

static bool check_linear(struct subject *s, bool q8)
{
    static const size_t cols[] = {32, 64, 96, 128, 160, 192, 256, 288, 512, 544, 1056};
    struct rng rng = {42 + (uint64_t)s->dtype * 2 + q8};

    for (int i = 0; i < 150; i++) {
        struct linear_case c = {
            .n_rows = rng_between(&rng, 1, 70),
            .n_cols = cols[rng_below(&rng, sizeof cols / sizeof *cols)],
            .n_tokens = i < 41 ? (size_t)i % 40 + 1 : rng_between(&rng, 1, i % 3 ? 7 : 40),
            .layout = (enum layout)rng_below(&rng, LAYOUT_COUNT),
            .fill = i % 2 ? FILL_SPECIAL : FILL_PLAIN,
            .whole = i % 4 != 0,
        };
        if (!check_linear_case(s, &rng, &c, q8)) return false;
    }
    static const struct linear_case large[] = {
        {33, 2880, 1, LAYOUT_PACKED, FILL_PLAIN, true},
        {67, 2880, 3, LAYOUT_INTERLEAVED, FILL_SPECIAL, true},
        {35, 2880, 17, LAYOUT_PACKED, FILL_PLAIN, true},
        {19, 4096, 100, LAYOUT_INTERLEAVED, FILL_PLAIN, true},
    };
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        if (!check_linear_case(s, &rng, &large[i], q8)) return false;
    return true;
}

static bool check_q8_linear(struct subject *s)
{
    return check_linear(s, true);
}

static bool check_f32_linear(struct subject *s)
{
    return check_linear(s, false);
}

/* ---- activations --------------------------------------------------------------------------- */

static bool check_q8_quantise(struct subject *s)
{
    struct rng rng = {7};
    for (int i = 0; i < 300; i++) {
        size_t n_cols = 32 * rng_between(&rng, 1, i % 10 ? 20 : 100), n = q8_row_bytes(n_cols);
        enum q8_order order = (enum q8_order)(i % 3);
        struct guarded x, out, expected;
        float *values = guarded_floats(&x, &rng, n_cols, i % 2 ? FILL_SPECIAL : FILL_PLAIN);
        if (i % 5 == 0) { /* about the smallest maximum, and numbers that are none */
            size_t at = rng_below(&rng, n_cols / 32) * 32;
            int exponent = -95 - (int)rng_below(&rng, 8);
            for (size_t j = 0; j < 32; j++) values[at + j] = ldexpf(rng_float(&rng), exponent);
            values[rng_below(&rng, n_cols)] = i % 3 ? NAN : -INFINITY;
        }
        guarded_new(&out, n, 64);
        guarded_new(&expected, n, 64);
        s->kernels->q8_quantise(values, n_cols, order, out.data);
        s->scalar->q8_quantise(values, n_cols, order, expected.data);

        bool ok = true;
        for (size_t j = 0; j < n && ok; j++)
            if (out.data[j] != expected.data[j])
                ok = wrong(s,
                           "%zu cols, order %d: byte %zu of %zu (values end at %zu) is %02x, "
                           "expected %02x",
                           n_cols, order, j, n, q8_groups(n_cols) * Q8_GROUP, out.data[j],
                           expected.data[j]);
        if (ok && !guarded_intact(&out)) ok = wrong(s, "%zu cols: wrote beside out", n_cols);
        guarded_free(&x);
        guarded_free(&out);
        guarded_free(&expected);
        if (!ok) return false;
    }
    return true;
}

/* out, which may be one of the inputs, against expected. */
static bool compare(struct subject *s, const float *out, const float *expected, size_t n,
                    const struct guarded *memory, const char *what)
{
    size_t i = first_difference(out, expected, n);
    if (i < n)
        return wrong(s, "%s, n %zu: [%zu] = %.9g (%08x), expected %.9g (%08x)", what, n, i, out[i],
                     bits_from_float(out[i]), expected[i], bits_from_float(expected[i]));
    if (!guarded_intact(memory)) return wrong(s, "%s, n %zu: wrote beside out", what, n);
    return true;
}

static bool check_rms_norm(struct subject *s)
{
    struct rng rng = {11};
    bool ok = true;
    for (int i = 0; i < 200 && ok; i++) {
        size_t n = i == 0 ? 2880 : 16 * rng_between(&rng, 1, 40);
        struct guarded x, w, y, expected;
        enum fill fill = i % 2 ? FILL_SPECIAL : FILL_PLAIN;
        float *values = guarded_floats(&x, &rng, n, fill);
        float *weights = guarded_floats(&w, &rng, n, fill);
        float *out = guarded_floats(&y, &rng, n, fill);
        float *reference = guarded_floats(&expected, &rng, n, fill);
        bool in_place = i % 3 == 0;
        s->scalar->rms_norm(values, weights, n, 1e-5f, reference);
        s->kernels->rms_norm(values, weights, n, 1e-5f, in_place ? values : out);
        ok = compare(s, in_place ? values : out, reference, n, in_place ? &x : &y,
                     in_place ? "in place" : "rms_norm");
        guarded_free(&x);
        guarded_free(&w);
        guarded_free(&y);
        guarded_free(&expected);
    }
    return ok;
}

static bool check_swiglu(struct subject *s)
{
    struct rng rng = {13};
    bool ok = true;
    for (int i = 0; i < 200 && ok; i++) {
        size_t n = i == 0 ? 2880 : rng_between(&rng, 1, 100);
        struct guarded g, u, y, expected;
        enum fill fill = i % 2 ? FILL_SPECIAL : FILL_PLAIN;
        float *gate = guarded_floats(&g, &rng, n, fill), *up = guarded_floats(&u, &rng, n, fill);
        float *out = guarded_floats(&y, &rng, n, fill);
        float *reference = guarded_floats(&expected, &rng, n, fill);
        for (size_t j = 0; j < n; j++) {
            gate[j] *= 16, up[j] *= 4;
            if (rng_below(&rng, 20) == 0) gate[j] = NAN;
            if (rng_below(&rng, 20) == 0) up[j] = NAN;
            if (rng_below(&rng, 20) == 0) gate[j] = -INFINITY;
            if (rng_below(&rng, 20) == 0) up[j] = INFINITY;
            if (rng_below(&rng, 20) == 0) gate[j] = -60.0f * (float)rng_below(&rng, 3);
        }
        bool in_place = i % 3 == 0;
        s->scalar->swiglu(gate, up, n, 7.0f, 1.702f, reference);
        s->kernels->swiglu(gate, up, n, 7.0f, 1.702f, in_place ? gate : out);
        ok = compare(s, in_place ? gate : out, reference, n, in_place ? &g : &y,
                     in_place ? "in place" : "swiglu");
        guarded_free(&g);
        guarded_free(&u);
        guarded_free(&y);
        guarded_free(&expected);
    }
    return ok;
}

static bool check_rope(struct subject *s)
{
    struct rng rng = {17};
    bool ok = true;
    for (int i = 0; i < 200 && ok; i++) {
        size_t half = i < 129 ? (size_t)i : 32;
        struct guarded x, c, sn, expected;
        enum fill fill = i % 2 ? FILL_SPECIAL : FILL_PLAIN;
        float *values = guarded_floats(&x, &rng, 2 * half, fill);
        float *cosines = guarded_floats(&c, &rng, half, fill);
        float *sines = guarded_floats(&sn, &rng, half, fill);
        float *reference = guarded_floats(&expected, &rng, 2 * half, fill);
        memcpy(reference, values, 2 * half * sizeof *values);
        s->scalar->rope(reference, cosines, sines, half);
        s->kernels->rope(values, cosines, sines, half);
        ok = compare(s, values, reference, 2 * half, &x, "rope");
        guarded_free(&x);
        guarded_free(&c);
        guarded_free(&sn);
        guarded_free(&expected);
    }
    return ok;
}

static bool check_add_scaled(struct subject *s)
{
    struct rng rng = {19};
    bool ok = true;
    for (int i = 0; i < 200 && ok; i++) {
        size_t n = i == 0 ? 2880 : rng_between(&rng, 1, 100);
        struct guarded x, acc, expected;
        enum fill fill = i % 2 ? FILL_SPECIAL : FILL_PLAIN;
        float *values = guarded_floats(&x, &rng, n, fill), w = rng_float(&rng);
        float *out = guarded_floats(&acc, &rng, n, fill);
        float *reference = guarded_floats(&expected, &rng, n, fill);
        memcpy(reference, out, n * sizeof *out);
        s->scalar->add_scaled(reference, values, w, n);
        s->kernels->add_scaled(out, values, w, n);
        ok = compare(s, out, reference, n, &acc, "add_scaled");
        guarded_free(&x);
        guarded_free(&acc);
        guarded_free(&expected);
    }
    return ok;
}

static bool f16_same(f16_t a, f16_t b)
{
    return a.bits == b.bits || ((a.bits & 0x7fff) > 0x7c00 && (b.bits & 0x7fff) > 0x7c00);
}

static bool check_f32_to_f16(struct subject *s)
{
    struct rng rng = {19};
    bool ok = true;
    for (int i = 0; i < 300 && ok; i++) {
        size_t n = rng_between(&rng, 1, i % 10 ? 70 : 2000);
        struct guarded x, y, expected;
        float *values = guarded_floats(&x, &rng, n, FILL_PLAIN);
        for (size_t j = 0; j < n; j++) {
            uint32_t bits = (uint32_t)rng_next(&rng);
            if (j % 4 < 2) /* around f16's range, half of them exact ties */
                bits = (bits & 0x80000000) | (100 + (bits >> 8) % 45) << 23 |
                       (j % 4 ? (bits & 0x7ff) << 12 : bits & 0x7fffff);
            values[j] = float_from_bits(bits);
        }
        guarded_new(&y, n * 2, 2);
        guarded_new(&expected, n * 2, 2);
        f16_t *out = (f16_t *)(void *)y.data, *reference = (f16_t *)(void *)expected.data;
        s->kernels->f32_to_f16(values, n, out);
        s->scalar->f32_to_f16(values, n, reference);
        for (size_t j = 0; j < n && ok; j++)
            if (!f16_same(out[j], reference[j]))
                ok = wrong(s, "n %zu: [%zu] of %.9g (%08x) = %04x, expected %04x", n, j, values[j],
                           bits_from_float(values[j]), out[j].bits, reference[j].bits);
        if (ok && !guarded_intact(&y)) ok = wrong(s, "n %zu: wrote beside out", n);
        guarded_free(&x);
        guarded_free(&y);
        guarded_free(&expected);
    }
    return ok;
}

/* ---- attention ----------------------------------------------------------------------------- */

enum { ATTENTION_ROWS_MAX = 20 };

/* Fills a tile's K and V with numbers, and with NaN every position that no row looks at. */
static void fill_tile(struct rng *rng, bool f16, size_t head_dim, const uint8_t *begin,
                      const uint8_t *end, size_t n_rows, void *k, void *v)
{
    for (size_t j = 0; j < KV_TILE; j++) {
        bool seen = false;
        for (size_t r = 0; r < n_rows; r++) seen |= j >= begin[r] && j < end[r];
        for (size_t d = 0; d < head_dim; d++) {
            size_t at_k = (j / KV_LANES * head_dim + d) * KV_LANES + j % KV_LANES;
            size_t at_v = j * head_dim + d;
            float x = seen ? rng_float(rng) : NAN, y = seen ? rng_float(rng) : NAN;
            if (seen && rng_below(rng, 16) == 0) x = -0.0f, y = 0.0f;
            if (seen && rng_below(rng, 64) == 0) x *= 0x1p-20f, y *= 0x1p-20f;
            if (f16) ((f16_t *)k)[at_k] = f16_from_float(x), ((f16_t *)v)[at_v] = f16_from_float(y);
            else ((float *)k)[at_k] = x, ((float *)v)[at_v] = y;
        }
    }
}

static void random_ranges(struct rng *rng, size_t n_rows, uint8_t *begin, uint8_t *end)
{
    size_t kind = rng_below(rng, 4);
    for (size_t r = 0; r < n_rows; r++) {
        begin[r] = kind == 0 ? 0 : (uint8_t)rng_below(rng, KV_TILE + 1);
        end[r] = (uint8_t)rng_between(rng, 0, KV_TILE);
        if (kind == 1) begin[r] = 0, end[r] = KV_TILE;
        if (kind == 2) begin[r] = begin[0], end[r] = end[0];
    }
}

static bool same_states(struct subject *s, const struct attention_state *a,
                        const struct attention_state *b, size_t n_rows, size_t head_dim)
{
    for (size_t r = 0; r < n_rows; r++) {
        /* The sign of a maximum of zero shows nowhere. */
        if (!same(a[r].max, b[r].max) && !(a[r].max == 0 && b[r].max == 0))
            return wrong(s, "head_dim %zu, row %zu of %zu: max %.9g, expected %.9g", head_dim, r,
                         n_rows, a[r].max, b[r].max);
        size_t i = first_difference(a[r].sum, b[r].sum, KV_LANES);
        if (i < KV_LANES)
            return wrong(s, "head_dim %zu, row %zu of %zu: sum[%zu] = %.9g, expected %.9g",
                         head_dim, r, n_rows, i, a[r].sum[i], b[r].sum[i]);
        i = first_difference(a[r].acc, b[r].acc, head_dim);
        if (i < head_dim)
            return wrong(s, "head_dim %zu, row %zu of %zu: acc[%zu] = %.9g, expected %.9g",
                         head_dim, r, n_rows, i, a[r].acc[i], b[r].acc[i]);
    }
    return true;
}

/* A few tiles one after the other onto n_rows states. */
static bool check_attention_case(struct subject *s, struct rng *rng, bool f16, size_t n_rows,
                                 size_t head_dim)
{
    struct guarded q_mem, acc, acc_expected, k, v;
    struct attention_state states[ATTENTION_ROWS_MAX], expected[ATTENTION_ROWS_MAX];
    const float *q[ATTENTION_ROWS_MAX];
    uint8_t begin[ATTENTION_ROWS_MAX], end[ATTENTION_ROWS_MAX];
    size_t n = kv_tile_elements(head_dim), element = f16 ? sizeof(f16_t) : sizeof(float);
    float *queries = guarded_floats(&q_mem, rng, n_rows * head_dim, FILL_PLAIN);
    bool ok = true;

    guarded_new(&acc, n_rows * head_dim * sizeof(float), sizeof(float));
    guarded_new(&acc_expected, n_rows * head_dim * sizeof(float), sizeof(float));
    guarded_new(&k, n * element, element);
    guarded_new(&v, n * element, element);
    memset(acc.data, 0, acc.n);
    memset(acc_expected.data, 0, acc_expected.n);
    for (size_t r = 0; r < n_rows; r++) {
        size_t at = r * head_dim;
        q[r] = queries + at;
        states[r] =
            (struct attention_state){.max = -INFINITY, .acc = (float *)(void *)acc.data + at};
        expected[r] = (struct attention_state){.max = -INFINITY,
                                               .acc = (float *)(void *)acc_expected.data + at};
    }
    for (int tile = 0; tile < 3 && ok; tile++) {
        random_ranges(rng, n_rows, begin, end);
        fill_tile(rng, f16, head_dim, begin, end, n_rows, k.data, v.data);
        struct attention_tile_args args = {.head_dim = head_dim,
                                           .n_rows = n_rows,
                                           .scale = tile ? 0.125f : 4.0f,
                                           .q = q,
                                           .k = k.data,
                                           .v = v.data,
                                           .begin = begin,
                                           .end = end,
                                           .states = states};
        (f16 ? s->kernels->f16_attention_tile : s->kernels->f32_attention_tile)(&args);
        args.states = expected;
        (f16 ? s->scalar->f16_attention_tile : s->scalar->f32_attention_tile)(&args);
        ok = same_states(s, states, expected, n_rows, head_dim);
        if (ok && !guarded_intact(&acc)) ok = wrong(s, "head_dim %zu: wrote beside acc", head_dim);
    }
    guarded_free(&q_mem);
    guarded_free(&acc);
    guarded_free(&acc_expected);
    guarded_free(&k);
    guarded_free(&v);
    return ok;
}

static bool check_attention(struct subject *s, bool f16)
{
    static const size_t head_dims[] = {64, 64, 64, 128, 16, 32, 80, 2, 6, 18, 34, 256};
    struct rng rng = {23 + f16};
    for (int i = 0; i < 120; i++) {
        size_t n_rows = i < ATTENTION_ROWS_MAX ? (size_t)i + 1 : rng_between(&rng, 1, 9);
        size_t head_dim = head_dims[rng_below(&rng, sizeof head_dims / sizeof *head_dims)];
        if (!check_attention_case(s, &rng, f16, n_rows, head_dim)) return false;
    }
    return true;
}

static bool check_f16_attention(struct subject *s)
{
    return check_attention(s, true);
}

static bool check_f32_attention(struct subject *s)
{
    return check_attention(s, false);
}

/* Any bytes, any scale but NaN: a page that was not written yet may hold them. */
static bool check_kv_expand(struct subject *s)
{
    static const size_t head_dims[] = {64, 64, 128, 16, 32, 80, 2, 6, 18, 34, 256};
    struct rng rng = {31};
    bool ok = true;
    for (int i = 0; i < 40 && ok; i++) {
        size_t head_dim = head_dims[rng_below(&rng, sizeof head_dims / sizeof *head_dims)];
        size_t half = kv_q8_0_tile_bytes(head_dim), n = 2 * kv_tile_elements(head_dim);
        struct guarded tile, y, expected;
        guarded_new(&tile, 2 * half, 64);
        guarded_new(&y, n * sizeof(float), sizeof(float));
        guarded_new(&expected, n * sizeof(float), sizeof(float));
        for (size_t b = 0; b < tile.n; b++) tile.data[b] = (uint8_t)rng_next(&rng);
        for (size_t part = 0; part < 2; part++)
            for (size_t b = 0; b < kv_blocks(head_dim) * KV_TILE; b++)
                ((f16_t *)(void *)(tile.data + part * half + n / 2))[b] =
                    f16_from_float(rng_float(&rng) * (rng_below(&rng, 8) ? 1.0f : 0x1p-18f));
        s->kernels->q8_0_kv_expand(tile.data, head_dim, i % 2 ? tile.data : NULL,
                                   (float *)(void *)y.data);
        s->scalar->q8_0_kv_expand(tile.data, head_dim, NULL, (float *)(void *)expected.data);
        size_t at = first_difference((float *)(void *)y.data, (float *)(void *)expected.data, n);
        if (at < n) ok = wrong(s, "head_dim %zu: element %zu", head_dim, at);
        else if (!guarded_intact(&y)) ok = wrong(s, "head_dim %zu: wrote beside", head_dim);
        guarded_free(&tile);
        guarded_free(&y);
        guarded_free(&expected);
    }
    return ok;
}

/* A part with the larger maximum, with the smaller one, and one without positions. */
static bool check_attention_merge(struct subject *s)
{
    struct rng rng = {29};
    bool ok = true;
    for (int i = 0; i < 200 && ok; i++) {
        size_t head_dim = i % 2 ? 64 : 2 * rng_between(&rng, 1, 40);
        struct guarded mem[3];
        struct attention_state part = {.acc = guarded_floats(&mem[0], &rng, head_dim, FILL_PLAIN)};
        struct attention_state total = {.acc = guarded_floats(&mem[1], &rng, head_dim, FILL_PLAIN)};
        fill_f32(&rng, FILL_PLAIN, part.sum, KV_LANES);
        fill_f32(&rng, FILL_PLAIN, total.sum, KV_LANES);
        part.max = i % 10 ? 8 * rng_float(&rng) : -INFINITY;
        total.max = 8 * rng_float(&rng);
        struct attention_state expected = total;
        expected.acc = guarded_floats(&mem[2], &rng, head_dim, FILL_PLAIN);
        memcpy(expected.acc, total.acc, head_dim * sizeof *expected.acc);
        s->scalar->attention_merge(&expected, &part, head_dim);
        s->kernels->attention_merge(&total, &part, head_dim);
        ok = same_states(s, &total, &expected, 1, head_dim);
        if (ok && !guarded_intact(&mem[1])) ok = wrong(s, "head_dim %zu: wrote beside", head_dim);
        for (int j = 0; j < 3; j++) guarded_free(&mem[j]);
    }
    return ok;
}

/* ---- the list of tests --------------------------------------------------------------------- */

typedef bool check_fn(struct subject *s);
typedef void any_fn(void);

/* The table's entries, one after the other; false beyond the last. */
static bool entry(const struct cpu_kernels *k, size_t i, const char **name, enum dtype *dtype,
                  check_fn **check, any_fn **fn)
{
    static const char *const f32_names[] = {"f32_f32_linear",   "f32_f16_linear",
                                            "f32_bf16_linear",  "f32_q8_0_linear",
                                            "f32_mxfp4_linear", "f32_mxfp4_gguf_linear"};
    static const char *const q8_names[] = {"q8_q8_0_linear", "q8_mxfp4_linear",
                                           "q8_mxfp4_gguf_linear"};
    *dtype = DTYPE_F32;
    if (i < 6) {
        *dtype = (enum dtype)(DTYPE_F32 + i);
        *name = f32_names[i], *check = check_f32_linear, *fn = (any_fn *)k->f32_linear[*dtype];
        return true;
    }
    if ((i -= 6) < 3) {
        *dtype = (enum dtype)(DTYPE_Q8_0 + i);
        *name = q8_names[i], *check = check_q8_linear, *fn = (any_fn *)k->q8_linear[*dtype];
        return true;
    }
    const struct {
        const char *name;
        check_fn *check;
        any_fn *fn;
    } others[] = {
        {"q8_quantise", check_q8_quantise, (any_fn *)k->q8_quantise},
        {"rms_norm", check_rms_norm, (any_fn *)k->rms_norm},
        {"swiglu", check_swiglu, (any_fn *)k->swiglu},
        {"rope", check_rope, (any_fn *)k->rope},
        {"f16_attention_tile", check_f16_attention, (any_fn *)k->f16_attention_tile},
        {"f32_attention_tile", check_f32_attention, (any_fn *)k->f32_attention_tile},
        {"q8_0_kv_expand", check_kv_expand, (any_fn *)k->q8_0_kv_expand},
        {"attention_merge", check_attention_merge, (any_fn *)k->attention_merge},
        {"add_scaled", check_add_scaled, (any_fn *)k->add_scaled},
        {"f32_to_f16", check_f32_to_f16, (any_fn *)k->f32_to_f16},
    };
    if ((i -= 3) >= sizeof others / sizeof *others) return false;
    *name = others[i].name, *check = others[i].check, *fn = others[i].fn;
    return true;
}

struct kernel_test {
    struct cpu_kernels kernels, scalar;
    enum dtype dtype;
    check_fn *check;
};

static void run_kernel_test(void **state)
{
    const struct kernel_test *test = *state;
    struct subject s = {.kernels = &test->kernels, .scalar = &test->scalar, .dtype = test->dtype};
    if (!test->check(&s)) fail_msg("%s", s.message);
}

static void run_skipped(void **state)
{
    (void)state;
    skip();
}

/* ---- the tests of the test: kernels that are wrong ----------------------------------------- */

static void wrong_bit_linear(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    scalar.q8_linear[DTYPE_MXFP4](args, row_begin, row_end);
    if (args->n_tokens == 5 && row_end - row_begin > 1) {
        uint32_t bits = bits_from_float(args->y[4][row_end - 1]) ^ 1;
        args->y[4][row_end - 1] = float_from_bits(bits);
    }
}

static void one_row_more_linear(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    bool room = row_end < args->w->n_rows;
    scalar.q8_linear[DTYPE_MXFP4](args, row_begin, row_end + room);
}

static void over_reading_linear(const struct linear_args *args, size_t row_begin, size_t row_end)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    scalar.q8_linear[DTYPE_MXFP4](args, row_begin, row_end);
    const struct matrix *w = args->w;
    const volatile uint8_t *end = w->scales + (row_end - 1) * w->scale_stride + w->n_cols / 32;
    if (row_end == w->n_rows) (void)*end;
}

static void wrong_quantise(const float *x, size_t n_cols, enum q8_order order, void *out)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    scalar.q8_quantise(x, n_cols, order == Q8_HALVES ? Q8_EVEN_ODD : order, out);
}

/* Adds the p of positions in another order: lanes of a tile, not mod 16 of the last. */
static void wrong_attention(const struct attention_tile_args *args)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    scalar.f16_attention_tile(args);
    if (args->n_rows == 3 && args->begin[2] < args->end[2])
        args->states[2].acc[0] = nextafterf(args->states[2].acc[0], 1e9f);
}

/* The larger maximum in one place only. */
static void wrong_expand(const void *tile, size_t head_dim, const void *next, float *out)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    scalar.q8_0_kv_expand(tile, head_dim, next, out);
    out[2 * kv_tile_elements(head_dim) - 1] += 1;
}

static void wrong_merge(struct attention_state *total, const struct attention_state *part,
                        size_t head_dim)
{
    struct cpu_kernels scalar;
    kernels_scalar_fill(&scalar);
    float max = total->max;
    scalar.attention_merge(total, part, head_dim);
    total->max = max;
}

static void wrong_add_scaled(float *acc, const float *x, float w, size_t n)
{
    for (size_t i = 0; i < n; i++) acc[i] += w * x[i]; /* rounds twice */
}

static void test_notices_wrong_kernels(void **state)
{
    (void)state;
    struct cpu_kernels scalar, bad;
    kernels_scalar_fill(&scalar);
    struct subject s = {.kernels = &bad, .scalar = &scalar, .dtype = DTYPE_MXFP4};

    bad = scalar, bad.q8_linear[DTYPE_MXFP4] = wrong_bit_linear;
    assert_false(check_q8_linear(&s));
    assert_non_null(strstr(s.message, "y[token 4]"));
    bad = scalar, bad.q8_linear[DTYPE_MXFP4] = one_row_more_linear;
    assert_false(check_q8_linear(&s));
    bad = scalar, bad.q8_quantise = wrong_quantise;
    assert_false(check_q8_quantise(&s));
    bad = scalar, bad.f16_attention_tile = wrong_attention;
    assert_false(check_f16_attention(&s));
    bad = scalar, bad.q8_0_kv_expand = wrong_expand;
    assert_false(check_kv_expand(&s));
    bad = scalar, bad.attention_merge = wrong_merge;
    assert_false(check_attention_merge(&s));
    bad = scalar, bad.add_scaled = wrong_add_scaled;
    assert_false(check_add_scaled(&s));
    bad = scalar, bad.f32_attention_tile = scalar.f16_attention_tile;
    assert_false(check_f32_attention(&s));
}

static void test_notices_reading_too_far(void **state)
{
    (void)state;
    struct cpu_kernels scalar, bad;
    kernels_scalar_fill(&scalar);
    struct subject s = {.kernels = &bad, .scalar = &scalar, .dtype = DTYPE_MXFP4};
    bad = scalar, bad.q8_linear[DTYPE_MXFP4] = over_reading_linear;

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* also where a sanitizer or cmocka would report it */
        signal(SIGBUS, SIG_DFL);
        check_q8_linear(&s);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_select(void **state)
{
    (void)state;
    struct cpu_kernels k;
    struct vinci_error err = {0};
    assert_int_equal(cpu_kernels_select(&k, NULL, &err), VINCI_OK);
    assert_string_equal(k.isa, cpu_kernels_level(0));
    assert_int_equal(cpu_kernels_select(&k, "scalar", &err), VINCI_OK);
    assert_string_equal(k.isa, "scalar");
    assert_int_equal(cpu_kernels_select(&k, "abacus", &err), VINCI_UNSUPPORTED);
    assert_non_null(strstr(err.text, "abacus"));
    assert_non_null(strstr(err.text, "scalar"));
}

/* ---- main ---------------------------------------------------------------------------------- */

enum { MAX_TESTS = 128 };

static size_t add_level(const char *level, const char *below, struct CMUnitTest *tests, size_t n,
                        struct kernel_test *params)
{
    static char names[MAX_TESTS][64];
    struct cpu_kernels kernels, lower, scalar;
    kernels_scalar_fill(&scalar);
    if (cpu_kernels_select(&kernels, level, NULL) != VINCI_OK ||
        cpu_kernels_select(&lower, below, NULL) != VINCI_OK) {
        snprintf(names[n], sizeof names[n], "%s (not on this machine)", level);
        tests[n] = (struct CMUnitTest){.name = names[n], .test_func = run_skipped};
        return n + 1;
    }
    const char *name = NULL;
    check_fn *check = NULL;
    any_fn *fn = NULL, *fn_below = NULL;
    enum dtype dtype;
    for (size_t i = 0; entry(&kernels, i, &name, &dtype, &check, &fn); i++) {
        entry(&lower, i, &name, &dtype, &check, &fn_below);
        if (fn == fn_below || n == MAX_TESTS) continue;
        params[n] = (struct kernel_test){kernels, scalar, dtype, check};
        snprintf(names[n], sizeof names[n], "%s %s", level, name);
        tests[n] = (struct CMUnitTest){
            .name = names[n], .test_func = run_kernel_test, .initial_state = &params[n]};
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    static const char *const known[] = {"avx512", "avxvnni", "avx2", "neon", NULL};
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_notices_wrong_kernels),
        cmocka_unit_test(test_notices_reading_too_far),
        cmocka_unit_test(test_select),
    };
    static struct kernel_test params[MAX_TESTS];
    static struct CMUnitTest tests[MAX_TESTS + sizeof others / sizeof *others];
    size_t n = 0;

    if (argc > 1 && strcmp(argv[1], "--bench") == 0) return kernel_bench(argc > 2 ? argv[2] : "");

    for (size_t i = 0; cpu_kernels_level(i) && cpu_kernels_level(i + 1); i++)
        n = add_level(cpu_kernels_level(i), cpu_kernels_level(i + 1), tests, n, params);
    for (size_t i = 0; known[i]; i++)
        if (cpu_kernels_select(&(struct cpu_kernels){0}, known[i], NULL) != VINCI_OK)
            n = add_level(known[i], "scalar", tests, n, params);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) tests[n++] = others[i];
    return _cmocka_run_group_tests("kernels", tests, n, NULL, NULL);
}
