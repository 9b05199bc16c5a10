/* cmd_logits.c - `vinci logits`: the numbers behind the text, for comparing with any other
 * implementation. vinci's own golden tests go the same way.
 *
 * Rows are written as they are computed, so memory does not grow with the number of positions: the
 * prompt is fed in pieces that end where one engine step or ROW_BYTES of logits are full. (Any cut
 * gives the same bits.) */
#include "base/buf.h"
#include "cli/command.h"
#include "cli/ids.h"
#include "cli/model_options.h"
#include "cli/safetensors_out.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES = 1 << 26, PIECE_DEFAULT = 512, BATCH_MAX = 4096 };

struct logits_args {
    struct model_options model;
    const char *ids, *positions, *out;
    uint32_t greedy, chunk;
};

#define FIELD(name) .offset = offsetof(struct logits_args, name)

static const struct option_row rows[] = {
    {"ids", 0, "FILE",
     N_("token ids of the prompt, separated by white space or as a JSON array; - reads standard "
        "input"),
     OPTION_TEXT, FIELD(ids), COMPLETE_FILE},
    {"out", 'o', "FILE", N_("the safetensors file to write"), OPTION_TEXT, FIELD(out),
     COMPLETE_FILE},
    {"positions", 0, "LIST",
     N_("prompt positions whose logits are kept: all (the default), last, or a list such as "
        "0,5,10-19"),
     OPTION_TEXT, FIELD(positions), COMPLETE_WORDS, "all|last"},
    {"greedy", 0, "N", N_("then generate N tokens, always the likeliest, and keep their logits"),
     OPTION_U32, FIELD(greedy)},
    {"chunk", 0, "N", N_("compute at most N tokens in one step; the results are the same"),
     OPTION_U32, FIELD(chunk), .min = 1},
    {0}};

static const struct option_group groups[] = {
    {N_("Model"), model_rows, offsetof(struct logits_args, model)},
    {N_("Logits"), rows, 0},
    {N_("Engine"), engine_rows, offsetof(struct logits_args, model)},
    {0}};

static const struct command_example examples[] = {
    {"logits -m gpt-oss-20b --ids story.ids --greedy 20 -o out",
     N_("the likeliest continuation with all its logits")},
    {0}};

static void init(void *arguments)
{
    model_options_init(&((struct logits_args *)arguments)->model);
}

static enum vinci_status fail_positions(const char *list, size_t n, struct vinci_error *err)
{
    return fail(err, VINCI_USAGE,
                "--positions: expected all, last, or a list such as 0,5,10-19 of positions below "
                "%zu (the prompt's length), got '%s'",
                n, list);
}

/* Marks the positions of the list in want[n], in whatever order they are named. */
static enum vinci_status parse_positions(const char *list, uint8_t *want, size_t n,
                                         struct vinci_error *err)
{
    if (!list || strcmp(list, "all") == 0) {
        memset(want, 1, n);
        return VINCI_OK;
    }
    if (strcmp(list, "last") == 0) {
        want[n - 1] = 1;
        return VINCI_OK;
    }
    for (const char *at = list;;) {
        char item[64], *dash = NULL;
        uint64_t first = 0, last = 0;
        size_t length = strcspn(at, ",");
        if (length >= sizeof item) return fail_positions(list, n, err);
        memcpy(item, at, length);
        item[length] = '\0';
        dash = strchr(item, '-');
        if (dash) *dash++ = '\0';
        if (!parse_u64(item, 0, n - 1, &first) ||
            !parse_u64(dash ? dash : item, first, n - 1, &last))
            return fail_positions(list, n, err);
        memset(want + first, 1, last - first + 1);
        if (!at[length]) return VINCI_OK;
        at += length + 1;
    }
}

/* The tensors, in the order of the file. */
enum { INPUT_IDS, POSITIONS, GREEDY_IDS, LOGITS, GREEDY_LOGITS, N_TENSORS };

struct job {
    const struct logits_args *args;
    struct vinci_session *session;
    int32_t *ids;  /* [n_ids] */
    uint8_t *keep; /* [n_ids]: the position's logits go to the file */
    uint8_t *want; /* [n_ids]: they are computed: what is kept, and the last position's */
    int64_t *wide; /* [n_ids] */
    float *rows;   /* [rows_max, n_vocab] */
    size_t n_ids, n_kept, n_vocab, rows_max;
    struct out_tensor tensors[N_TENSORS];
    struct safetensors_out out;
};

static enum vinci_status open_out(struct job *job, struct vinci_error *err)
{
    size_t n_greedy = job->args->greedy, vocab = job->n_vocab, n = 0;
    const struct out_tensor tensors[N_TENSORS] = {
        [INPUT_IDS] = {"input_ids", "I64", 8, {job->n_ids}, 1, 0},
        [POSITIONS] = {"positions", "I64", 8, {job->n_kept}, 1, 0},
        [GREEDY_IDS] = {"greedy_ids", "I64", 8, {n_greedy}, 1, 0},
        [LOGITS] = {"logits", "F32", 4, {job->n_kept, vocab}, 2, 0},
        [GREEDY_LOGITS] = {"greedy_logits", "F32", 4, {n_greedy, vocab}, 2, 0},
    };
    memcpy(job->tensors, tensors, sizeof tensors);
    enum vinci_status status =
        safetensors_out_open(&job->out, job->args->out, job->tensors, N_TENSORS, err);
    for (size_t i = 0; i < job->n_ids; i++) job->wide[i] = job->ids[i];
    if (status == VINCI_OK)
        status = safetensors_out_write(&job->out, INPUT_IDS, 0, job->wide, job->n_ids, err);
    for (size_t i = 0; i < job->n_ids; i++)
        if (job->keep[i]) job->wide[n++] = (int64_t)i;
    if (status == VINCI_OK)
        status = safetensors_out_write(&job->out, POSITIONS, 0, job->wide, n, err);
    return status;
}

/* Feeds the prompt; the last position's logits end up in row 0 of job->rows. */
static enum vinci_status run_prompt(struct job *job, struct vinci_error *err)
{
    size_t piece_max = job->args->chunk ? job->args->chunk : PIECE_DEFAULT;
    for (size_t at = 0, row = 0; at < job->n_ids;) {
        if (interrupted()) return fail(err, VINCI_CANCELLED, "stopped");
        size_t n = 0, n_rows = 0, n_kept = 0;
        for (; n < piece_max && at + n < job->n_ids && n_rows < job->rows_max; n++) {
            n_rows += job->want[at + n];
            n_kept += job->keep[at + n];
        }
        enum vinci_status status = vinci_session_append(
            job->session, job->ids + at, n, job->want + at, n_rows ? job->rows : NULL, err);
        if (status == VINCI_OK)
            status = safetensors_out_write(&job->out, LOGITS, row * job->n_vocab, job->rows,
                                           n_kept * job->n_vocab, err);
        if (status != VINCI_OK) return status;
        at += n;
        row += n_kept;
        if (at == job->n_ids)
            memmove(job->rows, job->rows + (n_rows - 1) * job->n_vocab,
                    job->n_vocab * sizeof *job->rows);
    }
    return VINCI_OK;
}

static int32_t likeliest(const float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

static enum vinci_status run_greedy(struct job *job, struct vinci_error *err)
{
    enum vinci_status status = VINCI_OK;
    for (uint32_t i = 0; i < job->args->greedy; i++) {
        if (interrupted()) return fail(err, VINCI_CANCELLED, "stopped");
        int32_t id = likeliest(job->rows, job->n_vocab);
        int64_t wide = id;
        status = safetensors_out_write(&job->out, GREEDY_IDS, i, &wide, 1, err);
        if (status == VINCI_OK)
            status = safetensors_out_write(&job->out, GREEDY_LOGITS, i * job->n_vocab, job->rows,
                                           job->n_vocab, err);
        if (status == VINCI_OK && i + 1 < job->args->greedy)
            status = vinci_session_append(job->session, &id, 1, NULL, job->rows, err);
        if (status != VINCI_OK) return status;
    }
    return status;
}

/* Ids, positions, and room for the rows, which needs the engine. */
static enum vinci_status prepare(struct job *job, const struct vinci_engine *engine,
                                 struct vinci_error *err)
{
    job->n_vocab = vinci_engine_model(engine)->n_vocab;
    job->rows_max = ROW_BYTES / sizeof *job->rows / job->n_vocab;
    if (job->rows_max < 16) job->rows_max = 16;
    if (job->rows_max > job->n_ids) job->rows_max = job->n_ids;
    job->keep = array_new_zero(job->n_ids, 1);
    job->want = array_new_zero(job->n_ids, 1);
    job->wide = array_new_zero(job->n_ids, sizeof *job->wide);
    job->rows = array_new(job->n_vocab, job->rows_max * sizeof *job->rows);
    if (!job->keep || !job->want || !job->wide || !job->rows)
        return fail_memory(err, job->n_vocab * job->rows_max * sizeof *job->rows, "logits");
    enum vinci_status status = parse_positions(job->args->positions, job->keep, job->n_ids, err);
    if (status != VINCI_OK) return status;
    for (size_t i = 0; i < job->n_ids; i++) job->n_kept += job->want[i] = job->keep[i];
    job->want[job->n_ids - 1] = 1;
    return VINCI_OK;
}

/* Before anything is computed or a file is made: the last greedy token is not fed. */
static enum vinci_status check_length(const struct job *job, const struct vinci_engine *engine,
                                      struct vinci_error *err)
{
    struct vinci_engine_info info;
    vinci_engine_info(engine, &info);
    uint64_t n = job->n_ids + (job->args->greedy ? (uint64_t)job->args->greedy - 1 : 0);
    if (n <= info.n_ctx) return VINCI_OK;
    return fail(err, VINCI_LIMIT,
                "%zu prompt tokens and --greedy %u take %" PRIu64 " positions, and the context has "
                "%u; shorten the prompt, or raise --ctx if it is given",
                job->n_ids, (unsigned)job->args->greedy, n, (unsigned)info.n_ctx);
}

static enum vinci_status run(const struct program *program, void *arguments,
                             struct vinci_error *err)
{
    const struct logits_args *args = arguments;
    struct job job = {.args = args};
    struct loaded_model loaded = {0};
    /* Larger pieces go to the engine in several steps. */
    uint32_t n_batch = args->chunk < BATCH_MAX ? args->chunk : BATCH_MAX;
    if (!args->ids || !args->out) return fail(err, VINCI_USAGE, "both --ids and --out are needed");
    enum vinci_status status = ids_read(args->ids, &job.ids, &job.n_ids, err);
    if (status == VINCI_OK)
        status = loaded_model_open(&loaded, program, &args->model, n_batch, 1, err);
    if (status == VINCI_OK) status = check_length(&job, loaded.engine, err);
    if (status == VINCI_OK) status = prepare(&job, loaded.engine, err);
    if (status == VINCI_OK) status = vinci_session_open(&job.session, loaded.engine, err);
    if (status == VINCI_OK) status = open_out(&job, err);
    if (status == VINCI_OK) status = run_prompt(&job, err);
    if (status == VINCI_OK) status = run_greedy(&job, err);
    if (status == VINCI_OK) status = safetensors_out_publish(&job.out, err);
    safetensors_out_close(&job.out);
    vinci_session_close(job.session);
    loaded_model_close(&loaded);
    free(job.rows);
    free(job.wide);
    free(job.want);
    free(job.keep);
    free(job.ids);
    return status;
}

const struct command command_logits = {
    .name = "logits",
    .summary = N_("write the logits of a prompt to a file, for comparisons"),
    .operands = "",
    .description =
        N_("Feeds token ids to the model and writes a safetensors file with input_ids I64 [T], "
           "positions I64 [P], logits F32 [P, vocabulary], greedy_ids I64 [N] and greedy_logits "
           "F32 [N, vocabulary]. Row 0 of greedy_logits belongs to the prompt's last position; row "
           "g chose greedy_ids[g]. The file appears under its name only when it is whole.\n\n"
           "--activations f32 --kv f32 computes as the reference does, with float32 throughout; "
           "--chunk, --threads and --cpu-level never change a bit."),
    .groups = groups,
    .examples = examples,
    .args_size = sizeof(struct logits_args),
    .init = init,
    .run = run,
};
