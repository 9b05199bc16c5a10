/* cmd_check.c - `vinci check`: does the device compute, does it compute rightly, and how fast. The
 * measurements are the library's (vinci_check_...); a CPU's own limits come from src/bench.
 *
 * The keys of --json are an interface: they may grow, never change. */
#include "base/lang.h"
#include "bench/limits.h"
#include "bench/samples.h"
#include "cli/check_bundle.h"
#include "cli/command.h"
#include "cli/devices.h"
#include "cli/lang.h"
#include "cli/print.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_args {
    const char *device, *bundle;
    uint32_t threads, size;
    uint64_t seed;
    bool json;
};

enum { SIZES_MAX = 8, PRODUCT = 1024, PRODUCT_REPEAT = 10, CPU_SIZE = 2048, NPU_SIZE = 8192 };

#define FIELD(name) .offset = offsetof(struct check_args, name)

static const struct option_row rows[] = {
    {"device", 'd', "DEVICE",
     N_("cpu or npu:N; default: the first NPU, or the CPU if there is none"), OPTION_TEXT,
     FIELD(device), COMPLETE_WORDS, "cpu|npu:0"},
    {"threads", 't', "N", N_("threads of the CPU; default: one a core"), OPTION_U32, FIELD(threads),
     .max = 4096},
    {"size", 0, "N", N_("matrix products from 256 up to this size; default: 2048, of an NPU 8192"),
     OPTION_U32, FIELD(size), .min = 256, .max = 32768},
    {"seed", 0, "N", N_("same seed, same network; default: 0"), OPTION_U64, FIELD(seed)},
    {"bundle", 0, "FILE",
     N_("instead, write a report without secrets to send when something fails; - is standard "
        "output"),
     OPTION_TEXT, FIELD(bundle), COMPLETE_FILE},
    {"json", 0, NULL, N_("print one JSON object"), OPTION_FLAG, FIELD(json)},
    {0}};

static const struct option_group groups[] = {{N_("Check"), rows, 0}, {0}};

static const struct command_example examples[] = {
    {"check", N_("the first NPU, or the CPU where there is none")},
    {"check --device cpu --json", N_("the CPU, for a program to read")},
    {"check --bundle report.txt", N_("a report to send when something fails")},
    {0}};

/* Everything that was measured. */
struct findings {
    struct device_list devices;
    const struct vinci_device_info *device; /* the one that is checked */
    struct vinci_check_network network;
    struct vinci_check_product product; /* PRODUCT x PRODUCT in float32 */
    uint32_t sizes[SIZES_MAX], n_sizes;
    struct vinci_check_product products[SIZES_MAX][VINCI_CHECK_TYPES]; /* n 0: not measured */
    struct vinci_check_bandwidth bandwidth;
    struct vinci_check_ties ties; /* n_rows 0: not measured */
    double limits[LIMIT_COUNT];   /* of the CPU: operations/s and bytes/s; 0: not measured */
};

static bool is_npu(const struct findings *f)
{
    return strcmp(f->device->id, "cpu") != 0;
}

static const char *const type_names[VINCI_CHECK_TYPES] = {"f32", "f16", "bf16", "int8"};

/* What the machine can do in a type: measured for a CPU (f16 and bf16 weights are multiplied in
 * f32 there), the data sheet's for an NPU. */
static double peak_of(const struct findings *f, int type, const struct vinci_check_product *product)
{
    if (product->published_peak > 0) return product->published_peak;
    return f->limits[type == VINCI_CHECK_INT8 ? LIMIT_INT8 : LIMIT_F32];
}

/* ---- measuring ----------------------------------------------------------------------------- */

static enum vinci_status stopped(struct vinci_error *err)
{
    return fail(err, VINCI_CANCELLED, "stopped");
}

static enum vinci_status measure_limits(const struct check_args *args, struct findings *f,
                                        struct vinci_error *err)
{
    enum { REPEAT = 5 };
    struct limits *limits = NULL;
    enum vinci_status status = limits_open(&limits, args->threads, NULL, err);
    for (int which = 0; status == VINCI_OK && which < LIMIT_COUNT; which++) {
        double samples[REPEAT];
        limits_measure(limits, (enum limit)which);
        for (int i = 0; i < REPEAT; i++) samples[i] = limits_measure(limits, (enum limit)which);
        f->limits[which] = samples_median(samples, REPEAT);
    }
    limits_close(limits);
    return status;
}

static enum vinci_status measure_products(struct vinci_check *check, uint32_t size,
                                          struct findings *f, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (uint32_t n = 256; status == VINCI_OK && n <= size && f->n_sizes < SIZES_MAX; n *= 2) {
        for (int type = 0; type < VINCI_CHECK_TYPES; type++) {
            struct vinci_check_product *product = &f->products[f->n_sizes][type];
            status = vinci_check_product(check, (enum vinci_check_type)type, n, n < 2048 ? 10 : 3,
                                         product, err);
            if (status == VINCI_UNSUPPORTED) {
                *product = (struct vinci_check_product){0};
                status = VINCI_OK;
            }
            if (status != VINCI_OK) break;
            if (interrupted()) return stopped(err);
        }
        f->sizes[f->n_sizes++] = n;
    }
    return status;
}

static enum vinci_status measure(struct vinci_check *check, const struct check_args *args,
                                 struct findings *f, struct vinci_error *err)
{
    enum { BANDWIDTH_BYTES = 256 << 20, BANDWIDTH_REPEAT = 5 };
    enum vinci_status status = vinci_check_network(check, args->seed, &f->network, err);
    if (status == VINCI_OK)
        status =
            vinci_check_product(check, VINCI_CHECK_F32, PRODUCT, PRODUCT_REPEAT, &f->product, err);
    if (status == VINCI_OK && interrupted()) status = stopped(err);
    uint32_t size = args->size ? args->size : is_npu(f) ? NPU_SIZE : CPU_SIZE;
    if (status == VINCI_OK) status = measure_products(check, size, f, err);
    if (status == VINCI_OK)
        status =
            vinci_check_bandwidth(check, BANDWIDTH_BYTES, BANDWIDTH_REPEAT, &f->bandwidth, err);
    if (status == VINCI_OK && interrupted()) status = stopped(err);
    if (status == VINCI_OK && is_npu(f)) {
        status = vinci_check_ties(check, &f->ties, err);
        if (status == VINCI_UNSUPPORTED) {
            f->ties.n_rows = 0;
            status = VINCI_OK;
        }
    }
    if (status == VINCI_OK && !is_npu(f)) status = measure_limits(args, f, err);
    return status;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void print_network(const struct findings *f)
{
    const struct vinci_check_network *n = &f->network;
    print_field(_("network"), _("%u-%u-%u-%u, ReLU, dropout 0.1: %u parameters"), n->sizes[0],
                n->sizes[1], n->sizes[2], n->sizes[3], n->n_params);
    print_field(_("forward"), _("[%u, %u] -> [%u, %u], outputs from %.3f to %.3f, %.3f ms"),
                n->n_batch, n->sizes[0], n->n_batch, n->sizes[3], n->output_min, n->output_max,
                1e3 * n->forward_seconds);
    print_field(_("loss"), _("%.4f (of a network that knows nothing: ln 10 = 2.3026)"), n->loss);
    print_field(_("backward"), _("mean |gradient| %.6f, %.3f ms"), n->mean_abs_gradient,
                1e3 * n->backward_seconds);
    print_field(
        _("gradients"),
        n->gradients_agree
            ? _("agree with differences of the loss: %.1e of the largest, in %u parameters")
            : _("WRONG: %.1e of the largest away from differences of the loss, in %u parameters"),
        n->gradient_error, n->n_compared);
    if (is_npu(f))
        print_field("", _("%.1e of the largest from the CPU's, in all %u parameters"), n->cpu_error,
                    n->n_params);
}

static void print_products(const struct findings *f)
{
    printf("\n%s\n", _("matrix products, 10^12 operations/s (a multiply-add is two):"));
    printf("%12s", "n");
    for (int type = 0; type < VINCI_CHECK_TYPES; type++) printf("%12s", type_names[type]);
    putchar('\n');
    for (uint32_t i = 0; i < f->n_sizes; i++) {
        printf("%12u", f->sizes[i]);
        for (int type = 0; type < VINCI_CHECK_TYPES; type++) {
            const struct vinci_check_product *p = &f->products[i][type];
            if (p->n == 0) printf("%12s", "-");
            else printf("%11.3f%c", p->operations_per_second / 1e12, p->agrees ? ' ' : '!');
        }
        putchar('\n');
    }
    const char *limit = f->limits[LIMIT_F32] > 0 ? _("limit") : _("data sheet");
    printf("%*s", text_field(limit, 12), limit);
    for (int type = 0; type < VINCI_CHECK_TYPES; type++) {
        double peak = peak_of(f, type, &f->products[0][type]);
        if (peak > 0) printf("%11.3f ", peak / 1e12);
        else printf("%12s", "-");
    }
    printf("\n\n");
}

/* The best share of its limit that a type reached; 0 if it has none. */
static double best_share(const struct findings *f, int type)
{
    double best = 0;
    for (uint32_t i = 0; i < f->n_sizes; i++) {
        const struct vinci_check_product *p = &f->products[i][type];
        double peak = peak_of(f, type, p);
        if (p->n > 0 && peak > 0) best = fmax(best, p->operations_per_second / peak);
    }
    return best;
}

static bool all_right(const struct findings *f)
{
    bool right = f->network.gradients_agree && f->product.agrees && f->ties.n_wrong == 0;
    for (uint32_t i = 0; i < f->n_sizes; i++)
        for (int type = 0; type < VINCI_CHECK_TYPES; type++)
            right = right && (f->products[i][type].n == 0 || f->products[i][type].agrees);
    return right;
}

static void print_memory(const struct findings *f)
{
    const struct vinci_check_bandwidth *b = &f->bandwidth;
    double limit = f->limits[LIMIT_READ] > 0 ? f->limits[LIMIT_READ] : b->published_copy;
    if (f->limits[LIMIT_READ] > 0)
        print_field(_("memory"), _("copying moves %.1f GB/s, reading alone %.1f GB/s"),
                    b->copy / 1e9, limit / 1e9);
    else if (limit > 0)
        print_field(_("memory"), _("copying moves %.1f GB/s, %.0f %% of the data sheet's %.0f"),
                    b->copy / 1e9, 100 * b->copy / limit, limit / 1e9);
    else print_field(_("memory"), _("copying moves %.1f GB/s"), b->copy / 1e9);
    if (is_npu(f))
        print_field(_("transfers"), _("%.1f GB/s to the device, %.1f GB/s back"),
                    b->to_device / 1e9, b->from_device / 1e9);
}

static void print_ties(const struct findings *f)
{
    const struct vinci_check_ties *t = &f->ties;
    if (t->n_rows == 0) return;
    if (t->n_wrong > 0)
        print_field(_("largest"), _("WRONG: not the largest of %u numbers, in %u of %u rows"),
                    t->n_cols, t->n_wrong, t->n_rows);
    else if (t->n_first == t->n_rows)
        print_field(_("largest"), _("of equal ones the first, as the host: in all of %u rows"),
                    t->n_rows);
    else
        print_field(_("largest"),
                    _("of equal ones the first in %u rows, the last in %u, another in %u; the host "
                      "takes the first, so greedy answers may differ where logits are equal"),
                    t->n_first, t->n_last, t->n_between);
}

static void print_verdict(const struct findings *f)
{
    if (!all_right(f)) {
        print_field(
            _("verdict"), "%s",
            _("WRONG RESULTS (marked with ! or WRONG above): do not use this device; check driver, "
              "memory and cooling"));
        return;
    }
    const char *type = f->limits[LIMIT_INT8] > 0 ? "int8" : "bf16";
    int index = f->limits[LIMIT_INT8] > 0 ? VINCI_CHECK_INT8 : VINCI_CHECK_BF16;
    double share = best_share(f, index);
    if (is_npu(f) && peak_of(f, index, &f->products[0][index]) == 0) {
        print_field(_("verdict"), "%s",
                    _("all results right; no published figures of this chip are known, so nothing "
                      "is said about its speed"));
        return;
    }
    print_field(
        _("verdict"),
        share >= .5
            ? _("all results right; %s products reach %.0f %% of the limit: as it should be")
        : share >= .25
            ? _("all results right; %s products reach %.0f %% of the limit: other work on "
                "this machine, or too small matrices (--size)")
            : _("all results right, but slow: %s products reach %.0f %% of the limit; is "
                "the machine busy, throttled or limited?"),
        type, 100 * share);
}

static void print_readable(const struct findings *f)
{
    devices_print(&f->devices);
    print_field(_("checked"), "%s: %s", f->device->id, f->device->name);
    putchar('\n');
    print_network(f);
    print_field(_("product"),
                f->product.agrees ? _("%u times %u x %u in float32: %.4f s, %.3f ms each")
                                  : _("%u times %u x %u in float32: %.4f s, %.3f ms each: WRONG"),
                f->product.repeat, f->product.n, f->product.n, f->product.seconds,
                1e3 * f->product.seconds / f->product.repeat);
    print_products(f);
    print_memory(f);
    print_ties(f);
    print_verdict(f);
}

/* ---- for programs -------------------------------------------------------------------------- */

static json_t *product_json(const struct findings *f, int type, const struct vinci_check_product *p)
{
    double peak = peak_of(f, type, p);
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:b}", "type", type_names[type], "n",
                     (json_int_t)p->n, "repeat", (json_int_t)p->repeat, "seconds", p->seconds,
                     "min_seconds", p->min_seconds, "operations_per_second",
                     p->operations_per_second, "limit", peak, "error", p->error, "agrees",
                     p->agrees);
}

static json_t *network_json(const struct vinci_check_network *n)
{
    return json_pack(
        "{s:[IIII], s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:b, s:f, s:f, s:f}", "sizes",
        (json_int_t)n->sizes[0], (json_int_t)n->sizes[1], (json_int_t)n->sizes[2],
        (json_int_t)n->sizes[3], "batch", (json_int_t)n->n_batch, "parameters",
        (json_int_t)n->n_params, "output_min", n->output_min, "output_max", n->output_max, "loss",
        n->loss, "reference_loss", n->reference_loss, "mean_abs_gradient", n->mean_abs_gradient,
        "compared", (json_int_t)n->n_compared, "gradient_error", n->gradient_error,
        "gradient_tolerance", n->gradient_tolerance, "gradients_agree", n->gradients_agree,
        "forward_seconds", n->forward_seconds, "backward_seconds", n->backward_seconds, "cpu_error",
        n->cpu_error);
}

static enum vinci_status print_findings(const struct findings *f, struct vinci_error *err)
{
    json_t *products = json_array();
    for (uint32_t i = 0; i < f->n_sizes; i++)
        for (int type = 0; type < VINCI_CHECK_TYPES; type++)
            if (f->products[i][type].n > 0)
                json_array_append_new(products, product_json(f, type, &f->products[i][type]));
    const struct vinci_check_bandwidth *b = &f->bandwidth;
    const struct vinci_check_ties *t = &f->ties;
    json_t *root = json_pack(
        "{s:s, s:o, s:s, s:o, s:o, s:o, s:{s:I, s:f, s:f, s:f, s:f}, s:b}", "version",
        vinci_version(), "devices", devices_json(&f->devices), "device", f->device->id, "network",
        network_json(&f->network), "product", product_json(f, VINCI_CHECK_F32, &f->product),
        "products", products, "memory", "bytes", (json_int_t)b->n_bytes, "copy_bytes_per_second",
        b->copy, "to_device_bytes_per_second", b->to_device, "from_device_bytes_per_second",
        b->from_device, "limit_bytes_per_second",
        b->published_copy > 0 ? b->published_copy : f->limits[LIMIT_READ], "right", all_right(f));
    if (t->n_rows > 0)
        json_object_set_new(root, "equal_largest",
                            json_pack("{s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)t->n_rows,
                                      "first", (json_int_t)t->n_first, "last",
                                      (json_int_t)t->n_last, "between", (json_int_t)t->n_between,
                                      "wrong", (json_int_t)t->n_wrong));
    return print_json(root, err);
}

/* ---- the command --------------------------------------------------------------------------- */

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    struct check_args *args = arguments;
    struct vinci_check *check = NULL;
    struct findings *f = calloc(1, sizeof *f);
    if (!f) return fail_memory(err, sizeof *f, "the findings");
    enum vinci_status status = devices_open(&f->devices, program, err);
    if (status != VINCI_OK) goto cleanup;
    status = devices_choose(&f->devices, program, args->device, &f->device, err);
    if (status == VINCI_OK && args->bundle) {
        status = bundle_write(args->bundle, program, &f->devices, f->device, args->threads, err);
        if (status == VINCI_OK && strcmp(args->bundle, "-") != 0)
            say(_("vinci: the report is in %s; read it before you send it\n"), args->bundle);
        goto cleanup;
    }
    if (status == VINCI_OK)
        status = vinci_check_open(&check, f->device->id, &program->cann, args->threads, err);
    if (status == VINCI_OK) status = measure(check, args, f, err);
    if (status == VINCI_OK && args->json) status = print_findings(f, err);
    else if (status == VINCI_OK) print_readable(f);
    if (status == VINCI_OK && !all_right(f))
        status = fail(err, VINCI_DEVICE, "%s: wrong results", f->device->id);

cleanup:
    vinci_check_close(check);
    devices_close(&f->devices);
    free(f);
    return status;
}

const struct command command_check = {
    .name = "check",
    .summary = N_("check a device: does it compute rightly, and how fast"),
    .operands = "",
    .description = N_("Lists the devices, then trains one step of a small network on the one asked "
                      "for and compares its gradients with differences of the loss, multiplies "
                      "matrices of growing size in every number format the device has and compares "
                      "them with products in double precision, and measures its memory. Figures "
                      "stand beside the limit: measured for a CPU, the data sheet's for an NPU.\n\n"
                      "Where there is no NPU it says why, and checks the CPU. Wrong results end "
                      "with exit code 10."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct check_args),
    .run = run,
};
