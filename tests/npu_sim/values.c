/* values.c - the bytes behind a view: loaded into dense arrays, stored rounded as the hardware
 * does.
 *
 * Operators compute in float32 (elementwise ones in double, then rounded to float32, which is the
 * same for + - * / sqrt) and round once, to nearest even, when they store. Arrays that an operator
 * takes from scratch() are freed when it has run. */
#include "sim.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t type_bits(aclDataType type)
{
    switch (type) {
    case ACL_INT4: return 4;
    case ACL_INT8:
    case ACL_UINT8:
    case ACL_BOOL: return 8;
    case ACL_FLOAT16:
    case ACL_BF16:
    case ACL_INT16:
    case ACL_UINT16: return 16;
    case ACL_FLOAT:
    case ACL_INT32:
    case ACL_UINT32: return 32;
    case ACL_INT64:
    case ACL_UINT64:
    case ACL_DOUBLE: return 64;
    default: return 0;
    }
}

/* ---- scratch ---- */

_Thread_local uint64_t operator_bytes;

struct chunk {
    struct chunk *next;
    max_align_t bytes[];
};
static _Thread_local struct chunk *chunks;

void *scratch(size_t size)
{
    struct chunk *c = sim_alloc(sizeof *c + size);
    c->next = chunks;
    chunks = c;
    return c->bytes;
}

void scratch_release(void)
{
    while (chunks) {
        struct chunk *next = chunks->next;
        free(chunks);
        chunks = next;
    }
}

/* ---- number formats ---- */

static float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static uint16_t bf16_of(float f)
{
    uint32_t bits = bits_of_float(f);
    if (f != f) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float float_of_half(uint16_t h)
{
    int exponent = h >> 10 & 31;
    float mantissa = (float)(h & 1023), value;
    if (exponent == 31) value = h & 1023 ? NAN : INFINITY;
    else value = exponent ? ldexpf(mantissa + 1024, exponent - 25) : ldexpf(mantissa, -24);
    return h & 0x8000 ? -value : value;
}

static uint16_t half_of(float f)
{
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    float a = fabsf(f);
    if (f != f) return sign | 0x7E00;
    if (a == 0) return sign;
    if (a >= 65520) return sign | 0x7C00; /* rounds beyond 65504 */
    if (a == 0) return sign;
    int exponent = 0;
    frexpf(a, &exponent);
    if (exponent < -13) exponent = -13;
    uint32_t n = (uint32_t)rintf(ldexpf(a, 11 - exponent)); /* nearest even, 11 bits */
    return (uint16_t)(sign + ((uint32_t)(exponent + 13) << 10) + n);
}

float round_to(aclDataType type, float value)
{
    if (type == ACL_BF16) return float_of_bits((uint32_t)bf16_of(value) << 16);
    if (type == ACL_FLOAT16) return float_of_half(half_of(value));
    return value;
}

static double element(const uint8_t *p, aclDataType type, int64_t i)
{
    switch (type) {
    case ACL_FLOAT: return ((const float *)(const void *)p)[i];
    case ACL_FLOAT16: return float_of_half(((const uint16_t *)(const void *)p)[i]);
    case ACL_BF16: return float_of_bits((uint32_t)((const uint16_t *)(const void *)p)[i] << 16);
    case ACL_INT4: return (int8_t)((p[i / 2] >> (i % 2 ? 4 : 0) & 15) << 4) / 16;
    case ACL_INT8: return ((const int8_t *)p)[i];
    case ACL_UINT8:
    case ACL_BOOL: return p[i];
    case ACL_INT16: return ((const int16_t *)(const void *)p)[i];
    case ACL_INT32: return ((const int32_t *)(const void *)p)[i];
    case ACL_INT64: return (double)((const int64_t *)(const void *)p)[i];
    case ACL_DOUBLE: return ((const double *)(const void *)p)[i];
    default: return NAN;
    }
}

static int64_t integer_of(double v)
{
    if (v != v) return 0;
    return v >= 9.2e18 ? INT64_MAX : v <= -9.2e18 ? INT64_MIN : (int64_t)v;
}

static void set_element(uint8_t *p, aclDataType type, int64_t i, double v)
{
    switch (type) {
    case ACL_FLOAT: ((float *)(void *)p)[i] = (float)v; break;
    case ACL_FLOAT16: ((uint16_t *)(void *)p)[i] = half_of((float)v); break;
    case ACL_BF16: ((uint16_t *)(void *)p)[i] = bf16_of((float)v); break;
    case ACL_INT8: ((int8_t *)p)[i] = (int8_t)integer_of(v); break;
    case ACL_UINT8: p[i] = (uint8_t)integer_of(v); break;
    case ACL_BOOL: p[i] = v != 0; break;
    case ACL_INT16: ((int16_t *)(void *)p)[i] = (int16_t)integer_of(v); break;
    case ACL_INT32: ((int32_t *)(void *)p)[i] = (int32_t)integer_of(v); break;
    case ACL_INT64: ((int64_t *)(void *)p)[i] = integer_of(v); break;
    case ACL_DOUBLE: ((double *)(void *)p)[i] = v; break;
    default: break;
    }
}

/* ---- views ---- */

int64_t view_elements(const struct view *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->n_dims; i++) n *= v->dims[i];
    return n;
}

uint64_t view_begin(const struct view *v)
{
    return v->address + (uint64_t)v->offset * type_bits(v->dtype) / 8;
}

uint64_t view_end(const struct view *v)
{
    int64_t last = v->offset;
    if (!view_elements(v)) return view_begin(v);
    for (int i = 0; i < v->n_dims; i++) last += (v->dims[i] - 1) * v->strides[i];
    return v->address + ((uint64_t)(last + 1) * type_bits(v->dtype) + 7) / 8;
}

bool view_dense(const struct view *v)
{
    int64_t step = 1;
    for (int i = v->n_dims - 1; i >= 0; i--) {
        if (v->dims[i] != 1 && v->strides[i] != step) return false;
        step *= v->dims[i];
    }
    return true;
}

bool view_broadcasts(const struct view *from, int n_dims, const int64_t *dims)
{
    if (from->n_dims > n_dims) return false;
    for (int i = 0; i < from->n_dims; i++) {
        int64_t to = dims[n_dims - from->n_dims + i];
        if (from->dims[i] != to && from->dims[i] != 1) return false;
    }
    return true;
}

struct view view_expand(const struct view *v, int n_dims, const int64_t *dims)
{
    struct view out = *v;
    out.n_dims = n_dims;
    for (int i = 0; i < n_dims; i++) {
        int from = i - (n_dims - v->n_dims);
        out.dims[i] = dims[i];
        out.strides[i] = from < 0 || v->dims[from] == 1 ? 0 : v->strides[from];
    }
    return out;
}

struct view view_axis_last(const struct view *v, int axis)
{
    struct view out = *v;
    for (int i = axis; i + 1 < v->n_dims; i++) {
        out.dims[i] = v->dims[i + 1];
        out.strides[i] = v->strides[i + 1];
    }
    out.dims[v->n_dims - 1] = v->dims[axis];
    out.strides[v->n_dims - 1] = v->strides[axis];
    return out;
}

/* Row by row: `at` is the row's first element in the view's memory, `dense` in a dense array. */
struct walk {
    const struct view *v;
    int64_t index[MAX_DIMS], at, dense, row, step;
    bool done;
};

static void walk_start(struct walk *w, const struct view *v)
{
    *w = (struct walk){.v = v, .at = v->offset};
    w->row = v->n_dims ? v->dims[v->n_dims - 1] : 1;
    w->step = v->n_dims ? v->strides[v->n_dims - 1] : 0;
    w->done = !view_elements(v);
}

static void walk_next(struct walk *w)
{
    const struct view *v = w->v;
    w->dense += w->row;
    for (int i = v->n_dims - 2; i >= 0; i--) {
        w->at += v->strides[i];
        if (++w->index[i] < v->dims[i]) return;
        w->at -= v->strides[i] * v->dims[i];
        w->index[i] = 0;
    }
    w->done = true;
}

bool views_overlap(const struct view *a, const struct view *b)
{
    uint64_t begin = view_begin(a), end = view_end(a);
    if (begin >= view_end(b) || view_begin(b) >= end) return false;
    if ((view_dense(a) && view_dense(b)) || end - begin > 1 << 24) return true;
    /* Neither may lie in the gaps of the other. */
    uint8_t *marks = sim_alloc(end - begin);
    bool found = false;
    size_t size_a = type_bits(a->dtype) / 8, size_b = type_bits(b->dtype) / 8;
    struct walk w;
    for (walk_start(&w, a); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            memset(marks + (a->address + (uint64_t)(w.at + i * w.step) * size_a - begin), 1,
                   size_a);
    for (walk_start(&w, b); !w.done && !found; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++) {
            uint64_t at = b->address + (uint64_t)(w.at + i * w.step) * size_b;
            if (at >= begin && at < end && marks[at - begin]) found = true;
        }
    free(marks);
    return found;
}

float *load(const struct view *v)
{
    float *out = scratch((size_t)view_elements(v) * sizeof *out);
    const uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w)) {
        float *to = out + w.dense;
        if (v->dtype == ACL_BF16) {
            const uint16_t *from = (const uint16_t *)(const void *)p + w.at;
            for (int64_t i = 0; i < w.row; i++)
                to[i] = float_of_bits((uint32_t)from[i * w.step] << 16);
        } else if (v->dtype == ACL_FLOAT) {
            const float *from = (const float *)(const void *)p + w.at;
            for (int64_t i = 0; i < w.row; i++) to[i] = from[i * w.step];
        } else {
            for (int64_t i = 0; i < w.row; i++)
                to[i] = (float)element(p, v->dtype, w.at + i * w.step);
        }
    }
    return out;
}

double *load_f64(const struct view *v)
{
    double *out = scratch((size_t)view_elements(v) * sizeof *out);
    const uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            out[w.dense + i] = element(p, v->dtype, w.at + i * w.step);
    return out;
}

int64_t *load_i64(const struct view *v)
{
    int64_t *out = scratch((size_t)view_elements(v) * sizeof *out);
    const uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++) {
            int64_t at = w.at + i * w.step;
            out[w.dense + i] = v->dtype == ACL_INT64 ? ((const int64_t *)(const void *)p)[at]
                                                     : integer_of(element(p, v->dtype, at));
        }
    return out;
}

void store(const struct view *v, const float *values)
{
    uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            set_element(p, v->dtype, w.at + i * w.step, (double)values[w.dense + i]);
}

void store_f64(const struct view *v, const double *values)
{
    uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++)
            set_element(p, v->dtype, w.at + i * w.step, values[w.dense + i]);
}

void store_i64(const struct view *v, const int64_t *values)
{
    uint8_t *p = sim_memory(v->address);
    struct walk w;
    for (walk_start(&w, v); !w.done; walk_next(&w))
        for (int64_t i = 0; i < w.row; i++) {
            if (v->dtype == ACL_INT64)
                ((int64_t *)(void *)p)[w.at + i * w.step] = values[w.dense + i];
            else set_element(p, v->dtype, w.at + i * w.step, (double)values[w.dense + i]);
        }
}
