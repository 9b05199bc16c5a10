/* ops_index.c - gathering, scattering, permuting, ordering, summing along an axis.
 *
 * An index out of range is undefined in CANN; here it is a violation. Equal values keep their order
 * in aclnnTopk and aclnnSort, the lower index first. */
#include "sim.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool in_range(const char *name, int64_t index, int64_t n)
{
    if (index >= 0 && index < n) return true;
    sim_violate("%s: index %lld of %lld", name, (long long)index, (long long)n);
    return false;
}

/* Moves elements of any type as they are. */
static void move(const struct view *to, int64_t to_at, const struct view *from, int64_t from_at)
{
    size_t size = type_bits(to->dtype) / 8;
    memcpy((uint8_t *)sim_memory(to->address) + (size_t)to_at * size,
           (uint8_t *)sim_memory(from->address) + (size_t)from_at * size, size);
}

/* Where the element of a dense index lies. */
static int64_t place_of(const struct view *v, int64_t index)
{
    int64_t at = v->offset;
    for (int i = v->n_dims - 1; i >= 0; i--) {
        at += index % v->dims[i] * v->strides[i];
        index /= v->dims[i];
    }
    return at;
}

/* ---- gather: views source, indices, out ---- */

/* out[a.., i.., b..] = source[a.., index[i..], b..], a before axis i[0], b behind it */
static void run_gather(const struct plan *plan, const struct view *views)
{
    const struct view *source = &views[0], *out = &views[2];
    int64_t *index = load_i64(&views[1]), n_index = view_elements(&views[1]);
    int axis = (int)plan->i[0];
    int64_t inner = 1, outer = 1;
    for (int i = axis + 1; i < source->n_dims; i++) inner *= source->dims[i];
    for (int i = 0; i < axis; i++) outer *= source->dims[i];
    for (int64_t a = 0; a < outer; a++)
        for (int64_t i = 0; i < n_index; i++) {
            if (!in_range(plan->name, index[i], source->dims[axis])) continue;
            for (int64_t b = 0; b < inner; b++)
                move(out, place_of(out, (a * n_index + i) * inner + b), source,
                     place_of(source, (a * source->dims[axis] + index[i]) * inner + b));
        }
    operator_bytes =
        (uint64_t)view_elements(out) * 2 * type_bits(out->dtype) / 8 + 8 * (uint64_t)n_index;
}

static aclnnStatus gather(const char *name, const aclTensor *source, int64_t dim,
                          const aclTensor *index, const aclTensor *out, int index_dims,
                          uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *s = op_in(o, "self", source, ANY);
    const struct view *i = op_in(o, "index", index, INDICES);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, s, y);
    int64_t axis = op_axis(o, s, dim);
    if (index_dims) op_need(o, i->n_dims == index_dims, "index has %d dimensions", i->n_dims);
    op_need(o, y->n_dims == s->n_dims - 1 + i->n_dims, "out has %d dimensions", y->n_dims);
    for (int d = 0; d < y->n_dims && !o->status; d++) {
        int64_t want = d < axis               ? s->dims[d]
                       : d < axis + i->n_dims ? i->dims[d - axis]
                                              : s->dims[d - i->n_dims + 1];
        op_need(o, y->dims[d] == want, "out: dimension %d is %lld, expected %lld", d,
                (long long)y->dims[d], (long long)want);
    }
    o->plan->i[0] = axis;
    return op_done(o, run_gather, 0, ws, ex);
}

LAUNCH(aclnnEmbedding)
aclnnStatus sim_aclnnEmbeddingGetWorkspaceSize(const aclTensor *weight, const aclTensor *indices,
                                               const aclTensor *out, uint64_t *ws,
                                               aclOpExecutor **ex)
{
    return gather("aclnnEmbedding", weight, 0, indices, out, 0, ws, ex);
}

LAUNCH(aclnnIndexSelect)
aclnnStatus sim_aclnnIndexSelectGetWorkspaceSize(const aclTensor *self, int64_t dim,
                                                 const aclTensor *index, aclTensor *out,
                                                 uint64_t *ws, aclOpExecutor **ex)
{
    return gather("aclnnIndexSelect", self, dim, index, out, 1, ws, ex);
}

LAUNCH(aclnnGatherV2)
aclnnStatus sim_aclnnGatherV2GetWorkspaceSize(const aclTensor *self, int64_t dim,
                                              const aclTensor *index, aclTensor *out, uint64_t *ws,
                                              aclOpExecutor **ex)
{
    return gather("aclnnGatherV2", self, dim, index, out, 0, ws, ex);
}

/* ---- scatter ---- */

/* Two writes of one place: which stays is undefined, so both must be the same. */
static void check_twice(const char *name, const int64_t *index, int64_t n, const struct view *rows,
                        int64_t row)
{
    const uint8_t *bytes = sim_memory(rows->address);
    size_t size = type_bits(rows->dtype) / 8;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++) {
            bool same = index[i] == index[j] && row > 0;
            for (int64_t k = 0; same && k < row; k++)
                same = !memcmp(bytes + (size_t)place_of(rows, i * row + k) * size,
                               bytes + (size_t)place_of(rows, j * row + k) * size, size);
            if (index[i] == index[j] && index[i] >= 0 && !same)
                sim_violate("%s: index %lld twice", name, (long long)index[i]);
        }
}

/* views: var (in), var (out), indices, updates: var[index[i]] = updates[i], along axis i[0] */
static void run_scatter(const struct plan *plan, const struct view *views)
{
    const struct view *var = &views[1], *updates = &views[3];
    int64_t *index = load_i64(&views[2]), n = view_elements(&views[2]);
    int axis = (int)plan->i[0];
    int64_t inner = 1, outer = 1;
    for (int i = axis + 1; i < var->n_dims; i++) inner *= var->dims[i];
    for (int i = 0; i < axis; i++) outer *= var->dims[i];
    check_twice(plan->name, index, n, updates, outer == 1 ? inner : 0);
    for (int64_t a = 0; a < outer; a++)
        for (int64_t i = 0; i < n; i++) {
            if (!in_range(plan->name, index[i], var->dims[axis])) continue;
            for (int64_t b = 0; b < inner; b++)
                move(var, place_of(var, (a * var->dims[axis] + index[i]) * inner + b), updates,
                     place_of(updates, (a * n + i) * inner + b));
        }
    operator_bytes = (uint64_t)view_elements(updates) * 2 * type_bits(updates->dtype) / 8;
}

LAUNCH(aclnnScatterNdUpdate)
aclnnStatus sim_aclnnScatterNdUpdateGetWorkspaceSize(aclTensor *varRef, const aclTensor *indices,
                                                     const aclTensor *updates, uint64_t *ws,
                                                     aclOpExecutor **ex)
{
    op *o = op_new("aclnnScatterNdUpdate");
    const struct view *v =
        op_ref(o, "var", varRef, FLOATS | TYPE(ACL_INT64) | TYPE(ACL_INT8) | BOOLS);
    const struct view *i = op_in(o, "indices", indices, INDICES);
    const struct view *u =
        op_in(o, "updates", updates, FLOATS | TYPE(ACL_INT64) | TYPE(ACL_INT8) | BOOLS);
    op_same_type(o, v, u);
    op_shape(o, i, 2, (int64_t)-1, (int64_t)1);
    op_need(o, u->n_dims == v->n_dims && u->dims[0] == i->dims[0],
            "updates must be [indices, the rest of var]");
    for (int d = 1; d < v->n_dims; d++)
        op_need(o, u->dims[d] == v->dims[d], "updates: dimension %d differs from var", d);
    return op_done(o, run_scatter, 0, ws, ex);
}

LAUNCH(aclnnInplaceIndexCopy)
aclnnStatus sim_aclnnInplaceIndexCopyGetWorkspaceSize(aclTensor *selfRef, int64_t dim,
                                                      const aclTensor *index,
                                                      const aclTensor *source, uint64_t *ws,
                                                      aclOpExecutor **ex)
{
    op *o = op_new("aclnnInplaceIndexCopy");
    const struct view *v = op_ref(o, "self", selfRef, ANY);
    const struct view *i = op_in(o, "index", index, INDICES);
    const struct view *u = op_in(o, "source", source, ANY);
    op_same_type(o, v, u);
    int64_t axis = op_axis(o, v, dim);
    op_need(o, i->n_dims == 1 && u->n_dims == v->n_dims,
            "index must have one dimension, source those of self");
    for (int d = 0; d < v->n_dims; d++)
        op_need(o, u->dims[d] == (d == axis ? i->dims[0] : v->dims[d]), "source: dimension %d", d);
    o->plan->i[0] = axis;
    return op_done(o, run_scatter, 0, ws, ex);
}

/* views: key, key cache (in, out), slots, value, value cache (in, out) */
static void run_pa_cache(const struct plan *plan, const struct view *views)
{
    int64_t *slots = load_i64(&views[3]), n = view_elements(&views[3]);
    for (int part = 0; part < 2; part++) {
        const struct view *from = &views[part ? 4 : 0], *cache = &views[part ? 6 : 2];
        int64_t row = from->dims[1] * from->dims[2], block = cache->dims[1];
        check_twice(plan->name, slots, n, from, row);
        for (int64_t t = 0; t < n; t++) {
            if (slots[t] == -1) continue;
            if (!in_range(plan->name, slots[t], cache->dims[0] * block)) continue;
            for (int64_t i = 0; i < row; i++)
                move(cache, place_of(cache, slots[t] * row + i), from, place_of(from, t * row + i));
        }
        operator_bytes += (uint64_t)(n * row) * 2 * type_bits(from->dtype) / 8;
    }
}

LAUNCH(aclnnScatterPaKvCache)
aclnnStatus sim_aclnnScatterPaKvCacheGetWorkspaceSize(
    const aclTensor *key, aclTensor *keyCacheRef, const aclTensor *slotMapping,
    const aclTensor *value, aclTensor *valueCacheRef, const aclTensor *compressLensOptional,
    const aclTensor *compressSeqOffsetOptional, const aclTensor *seqLensOptional,
    char *cacheModeOptional, char *scatterModeOptional, const aclIntArray *stridesOptional,
    const aclIntArray *offsetsOptional, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnScatterPaKvCache");
    uint64_t types = HALVES | TYPE(ACL_INT8);
    const struct view *k = op_in(o, "key", key, types);
    const struct view *kc = op_ref(o, "keyCache", keyCacheRef, types);
    const struct view *s = op_in(o, "slotMapping", slotMapping, INDICES);
    const struct view *v = op_in(o, "value", value, types);
    const struct view *vc = op_ref(o, "valueCache", valueCacheRef, types);
    op_null(o, "compressLens", compressLensOptional);
    op_null(o, "compressSeqOffset", compressSeqOffsetOptional);
    op_null(o, "seqLens", seqLensOptional);
    op_need(o, !cacheModeOptional || !*cacheModeOptional || !strcmp(cacheModeOptional, "Norm"),
            "cacheMode %s: only Norm is simulated", cacheModeOptional);
    op_need(o,
            !scatterModeOptional || !*scatterModeOptional || !strcmp(scatterModeOptional, "None"),
            "scatterMode %s: only None is simulated", scatterModeOptional);
    op_need(o, !stridesOptional || stridesOptional->size == 2, "strides must be {1, 1}");
    op_need(o, !offsetsOptional || offsetsOptional->size == 2, "offsets must be {0, 0}");
    op_same_type(o, k, kc);
    op_same_type(o, k, v);
    op_same_type(o, v, vc);
    op_shape(o, k, 3, (int64_t)-1, (int64_t)-1, (int64_t)-1);
    op_shape(o, kc, 4, (int64_t)-1, (int64_t)-1, k->dims[1], k->dims[2]);
    op_shape(o, v, 3, k->dims[0], (int64_t)-1, (int64_t)-1);
    op_shape(o, vc, 4, (int64_t)-1, kc->dims[1], v->dims[1], v->dims[2]);
    op_shape(o, s, 1, k->dims[0]);
    op_need(o, view_dense(kc) && view_dense(vc), "the caches must be dense");
    return op_done(o, run_pa_cache, 0, ws, ex);
}

/* ---- permute, cat, slice ---- */

static void run_move(const struct plan *plan, const struct view *views)
{
    (void)plan;
    int64_t n = view_elements(&views[1]);
    for (int64_t i = 0; i < n; i++)
        move(&views[1], place_of(&views[1], i), &views[0], place_of(&views[0], i));
}

LAUNCH(aclnnPermute)
aclnnStatus sim_aclnnPermuteGetWorkspaceSize(const aclTensor *self, const aclIntArray *dims,
                                             aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnPermute");
    const struct view *a = op_in(o, "self", self, ANY);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, a, y);
    op_need(o,
            dims && handle_is(HANDLE_INTS, dims) && dims->size == (uint64_t)a->n_dims &&
                y->n_dims == a->n_dims,
            "dims must name every axis of self");
    if (!o->status) {
        struct view permuted = *a;
        unsigned seen = 0;
        for (int i = 0; i < a->n_dims; i++) {
            int64_t from = dims->values[i] < 0 ? dims->values[i] + a->n_dims : dims->values[i];
            op_need(o, from >= 0 && from < a->n_dims && !(seen >> from & 1),
                    "dims is no permutation");
            if (o->status) break;
            seen |= 1u << from;
            permuted.dims[i] = a->dims[from];
            permuted.strides[i] = a->strides[from];
            op_need(o, y->dims[i] == a->dims[from], "out: dimension %d", i);
        }
        if (!o->status) o->views[0] = permuted;
    }
    return op_done(o, run_move, 0, ws, ex);
}

LAUNCH(aclnnSlice)
aclnnStatus sim_aclnnSliceGetWorkspaceSize(const aclTensor *self, int64_t dim, int64_t start,
                                           int64_t end, int64_t step, aclTensor *out, uint64_t *ws,
                                           aclOpExecutor **ex)
{
    op *o = op_new("aclnnSlice");
    const struct view *a = op_in(o, "self", self, ANY);
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, a, y);
    int64_t axis = op_axis(o, a, dim), n = a->dims[axis];
    if (start < 0) start += n;
    if (end < 0) end += n;
    if (end > n) end = n;
    op_need(o, step >= 1 && start >= 0 && start <= end, "slice %lld:%lld:%lld of %lld",
            (long long)start, (long long)end, (long long)step, (long long)n);
    op_need(o, y->n_dims == a->n_dims, "out has %d dimensions", y->n_dims);
    for (int d = 0; d < a->n_dims && !o->status; d++)
        op_need(o, y->dims[d] == (d == axis ? (end - start + step - 1) / step : a->dims[d]),
                "out: dimension %d", d);
    if (!o->status) {
        struct view *v = &o->views[0];
        v->offset += start * v->strides[axis];
        v->strides[axis] *= step;
        v->dims[axis] = y->dims[axis];
    }
    return op_done(o, run_move, 0, ws, ex);
}

static void run_cat(const struct plan *plan, const struct view *views)
{
    int n = (int)plan->i[0], axis = (int)plan->i[1];
    struct view part = views[n];
    int64_t begin = 0;
    for (int i = 0; i < n; i++) {
        part.dims[axis] = views[i].dims[axis];
        part.offset = views[n].offset + begin * part.strides[axis];
        begin += part.dims[axis];
        for (int64_t j = view_elements(&part) - 1; j >= 0; j--)
            move(&part, place_of(&part, j), &views[i], place_of(&views[i], j));
    }
}

LAUNCH(aclnnCat)
aclnnStatus sim_aclnnCatGetWorkspaceSize(const aclTensorList *tensors, int64_t dim, aclTensor *out,
                                         uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnCat");
    if (!handle_is(HANDLE_TENSORS, tensors) || !tensors->size || tensors->size > 32) {
        op_need(o, false, "tensors must be a list of 1 to 32");
        return op_done(o, run_cat, 0, ws, ex);
    }
    const struct view *first = op_in(o, "tensors", tensors->tensors[0], ANY);
    int64_t axis = op_axis(o, first, dim), sum = first->dims[axis];
    for (uint64_t i = 1; i < tensors->size; i++) {
        const struct view *t = op_in(o, "tensors", tensors->tensors[i], ANY);
        op_same_type(o, first, t);
        op_need(o, t->n_dims == first->n_dims, "tensors differ in their dimensions");
        for (int d = 0; d < first->n_dims; d++)
            op_need(o, d == axis || t->dims[d] == first->dims[d], "tensors differ at dimension %d",
                    d);
        sum += t->dims[axis];
    }
    const struct view *y = op_out(o, "out", out, ANY);
    op_same_type(o, first, y);
    op_need(o, y->n_dims == first->n_dims && y->dims[axis] == sum, "out does not hold the tensors");
    o->plan->i[0] = (int64_t)tensors->size;
    o->plan->i[1] = axis;
    return op_done(o, run_cat, 0, ws, ex);
}

/* ---- along an axis ---- */

struct ranked {
    double value;
    int64_t index;
};

static int by_largest(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_smallest(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* views: self, values, indices; i: k, axis, largest */
static void run_top(const struct plan *plan, const struct view *views)
{
    int axis = (int)plan->i[1];
    struct view in = view_axis_last(&views[0], axis), values = view_axis_last(&views[1], axis);
    struct view indices = view_axis_last(&views[2], axis);
    int64_t k = plan->i[0], n = in.dims[in.n_dims - 1], rows = view_elements(&in) / n;
    double *x = load_f64(&in), *v = scratch((size_t)(rows * k) * sizeof *v);
    int64_t *at = scratch((size_t)(rows * k) * sizeof *at);
    struct ranked *row = scratch((size_t)n * sizeof *row);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i++) row[i] = (struct ranked){x[r * n + i], i};
        qsort(row, (size_t)n, sizeof *row, plan->i[2] ? by_largest : by_smallest);
        for (int64_t i = 0; i < k; i++) v[r * k + i] = row[i].value, at[r * k + i] = row[i].index;
    }
    store_f64(&values, v);
    store_i64(&indices, at);
}

static aclnnStatus top(op *o, const struct view *a, const struct view *values,
                       const struct view *indices, int64_t k, int64_t dim, bool largest,
                       uint64_t *ws, aclOpExecutor **ex)
{
    int64_t axis = op_axis(o, a, dim);
    op_same_type(o, a, values);
    op_same_shape(o, values, indices);
    op_need(o, k >= 1 && k <= a->dims[axis], "k %lld of %lld", (long long)k,
            (long long)a->dims[axis]);
    op_need(o, values->n_dims == a->n_dims, "values has %d dimensions", values->n_dims);
    for (int d = 0; d < a->n_dims; d++)
        op_need(o, values->dims[d] == (d == axis ? k : a->dims[d]), "values: dimension %d", d);
    o->plan->i[0] = k;
    o->plan->i[1] = axis;
    o->plan->i[2] = largest;
    return op_done(o, run_top, 1024, ws, ex);
}

LAUNCH(aclnnTopk)
aclnnStatus sim_aclnnTopkGetWorkspaceSize(const aclTensor *self, int64_t k, int64_t dim,
                                          bool largest, bool sorted, aclTensor *valuesOut,
                                          aclTensor *indicesOut, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnTopk");
    const struct view *a = op_in(o, "self", self, FLOATS | INTS);
    const struct view *v = op_out(o, "values", valuesOut, FLOATS | INTS);
    const struct view *i = op_out(o, "indices", indicesOut, TYPE(ACL_INT64));
    op_need(o, sorted, "sorted must be true");
    return top(o, a, v, i, k, dim, largest, ws, ex);
}

LAUNCH(aclnnSort)
aclnnStatus sim_aclnnSortGetWorkspaceSize(const aclTensor *self, bool stable, int64_t dim,
                                          bool descending, aclTensor *valuesOut,
                                          aclTensor *indicesOut, uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new("aclnnSort");
    (void)stable;
    const struct view *a = op_in(o, "self", self, FLOATS | INTS);
    const struct view *v = op_out(o, "values", valuesOut, FLOATS | INTS);
    const struct view *i = op_out(o, "indices", indicesOut, TYPE(ACL_INT64));
    int64_t axis = op_axis(o, a, dim);
    return top(o, a, v, i, a->dims[axis], dim, descending, ws, ex);
}

enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_ARGMAX, REDUCE_MAX };

/* views: self, out[, indices]; i: what, bit mask of the axes */
static void run_reduce(const struct plan *plan, const struct view *views)
{
    struct view in = views[0];
    int kept = 0, n_dims = in.n_dims;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n_dims; i++)
            if ((plan->i[1] >> i & 1) == pass) {
                in.dims[kept] = views[0].dims[i];
                in.strides[kept++] = views[0].strides[i];
            }
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++)
        if (plan->i[1] >> i & 1) n *= views[0].dims[i];
    int64_t rows = view_elements(&in) / (n ? n : 1);
    double *x = load_f64(&in), *y = scratch((size_t)rows * sizeof *y);
    int64_t *at = scratch((size_t)rows * sizeof *at);
    for (int64_t r = 0; r < rows; r++) {
        float sum = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += (float)x[r * n + i];
            if (x[r * n + i] > x[r * n + at[r]]) at[r] = i;
        }
        y[r] = plan->i[0] == REDUCE_SUM    ? sum
               : plan->i[0] == REDUCE_MEAN ? sum / (float)n
                                           : x[r * n + at[r]];
    }
    if (plan->i[0] == REDUCE_ARGMAX) store_i64(&views[1], at);
    else store_f64(&views[1], y);
    if (plan->i[0] == REDUCE_MAX && views[2].present) store_i64(&views[2], at);
}

static int64_t reduced(op *o, const struct view *a, const aclIntArray *dims, bool keep,
                       const struct view *y)
{
    int64_t mask = 0;
    if (!handle_is(HANDLE_INTS, dims)) {
        op_need(o, false, "dims is not an array");
        return 0;
    }
    for (uint64_t i = 0; i < dims->size; i++) mask |= 1ll << op_axis(o, a, dims->values[i]);
    if (!dims->size) mask = (1ll << a->n_dims) - 1;
    int at = 0;
    for (int d = 0; d < a->n_dims && !o->status; d++) {
        if (mask >> d & 1 && !keep) continue;
        op_need(o, at < y->n_dims && y->dims[at] == (mask >> d & 1 ? 1 : a->dims[d]),
                "out: dimension %d", at);
        at++;
    }
    op_need(o, at == y->n_dims, "out has %d dimensions, expected %d", y->n_dims, at);
    return mask;
}

static aclnnStatus reduce(const char *name, int what, const aclTensor *self,
                          const aclIntArray *dims, bool keep, aclDataType dtype, aclTensor *out,
                          uint64_t *ws, aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, FLOATS | INTS | BOOLS);
    const struct view *y = op_out(o, "out", out, FLOATS | INTS);
    op_need(o, y->dtype == dtype, "dtype is not that of out");
    o->plan->i[0] = what;
    o->plan->i[1] = reduced(o, a, dims, keep, y);
    return op_done(o, run_reduce, 1024, ws, ex);
}

LAUNCH(aclnnReduceSum)
aclnnStatus sim_aclnnReduceSumGetWorkspaceSize(const aclTensor *self, const aclIntArray *dims,
                                               bool keepDims, aclDataType dtype, aclTensor *out,
                                               uint64_t *ws, aclOpExecutor **ex)
{
    return reduce("aclnnReduceSum", REDUCE_SUM, self, dims, keepDims, dtype, out, ws, ex);
}

LAUNCH(aclnnMean)
aclnnStatus sim_aclnnMeanGetWorkspaceSize(const aclTensor *self, const aclIntArray *dim,
                                          bool keepDim, aclDataType dtype, aclTensor *out,
                                          uint64_t *ws, aclOpExecutor **ex)
{
    return reduce("aclnnMean", REDUCE_MEAN, self, dim, keepDim, dtype, out, ws, ex);
}

static aclnnStatus largest_along(const char *name, int what, const aclTensor *self, int64_t dim,
                                 bool keep, aclTensor *out, aclTensor *indices, uint64_t *ws,
                                 aclOpExecutor **ex)
{
    op *o = op_new(name);
    const struct view *a = op_in(o, "self", self, FLOATS | INTS);
    const struct view *y = op_out(o, "out", out, what == REDUCE_ARGMAX ? INDICES : FLOATS | INTS);
    if (what == REDUCE_MAX) op_same_shape(o, y, op_out(o, "indices", indices, INDICES));
    int64_t axis = op_axis(o, a, dim);
    op_need(o, y->n_dims == a->n_dims - !keep, "out has %d dimensions", y->n_dims);
    for (int d = 0, at = 0; d < a->n_dims && !o->status; d++) {
        if (d == axis && !keep) continue;
        op_need(o, y->dims[at] == (d == axis ? 1 : a->dims[d]), "out: dimension %d", at);
        at++;
    }
    o->plan->i[0] = what;
    o->plan->i[1] = 1ll << axis;
    return op_done(o, run_reduce, 1024, ws, ex);
}

LAUNCH(aclnnArgMax)
aclnnStatus sim_aclnnArgMaxGetWorkspaceSize(const aclTensor *self, int64_t dim, bool keepdim,
                                            aclTensor *out, uint64_t *ws, aclOpExecutor **ex)
{
    return largest_along("aclnnArgMax", REDUCE_ARGMAX, self, dim, keepdim, out, NULL, ws, ex);
}

LAUNCH(aclnnMaxDim)
aclnnStatus sim_aclnnMaxDimGetWorkspaceSize(const aclTensor *self, int64_t dim, bool keepdim,
                                            aclTensor *out, aclTensor *indices, uint64_t *ws,
                                            aclOpExecutor **ex)
{
    return largest_along("aclnnMaxDim", REDUCE_MAX, self, dim, keepdim, out, indices, ws, ex);
}
