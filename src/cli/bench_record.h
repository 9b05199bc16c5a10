/* bench_record.h - the record of a benchmark run: one JSON object with everything that was measured
 * and where, and what is made from it: files, a report, charts, tables, a comparison.
 *
 * The record is always kept; what reads it does not care whether it was measured just now or is a
 * file of an earlier run. Its keys are an interface: they may grow, never change. */
#ifndef VINCI_CLI_BENCH_RECORD_H
#define VINCI_CLI_BENCH_RECORD_H

#include "cli/options.h"
#include "cli/program.h"

#include <jansson.h>
#include <stdio.h>

enum bench_format { BENCH_TABLE, BENCH_CSV, BENCH_JSON, BENCH_JSONL, BENCH_MD };

struct record_args {
    unsigned format; /* enum bench_format */
    const char *json, *report, *svg, *png, *compare, *from;
    bool chart;
};
extern const struct option_row record_rows[];

struct comparison;
struct monitor;

struct bench_record {
    const struct program *program;
    const struct record_args *args;
    json_t *root;
    FILE *table; /* where the readable table goes: not to standard output when JSON or CSV does */
    struct monitor *monitor;
    struct vinci_device_info npu; /* that is measured; no id: none */
};

/* A record that begins now. `device` as --device has it, may be NULL. */
enum vinci_status bench_record_begin(struct bench_record *record, const struct program *program,
                                     const struct record_args *args, const char *device,
                                     struct vinci_error *err);

/* The model that was opened and where it runs, for the record; the text of the line "device". */
void bench_record_model(struct bench_record *record, const char *path,
                        const struct vinci_engine *engine);
const char *bench_record_device(const struct bench_record *record,
                                const struct vinci_engine *engine, char text[200]);

/* Seconds since then, on the clock of the record's samples. */
double bench_record_time(const struct bench_record *record);

/* Adds to a result of repeated measurements what n speeds say: median and its interval, spread,
 * drift; `begin`: when its first repetition began. */
void bench_record_row(const struct bench_record *record, json_t *row, const double *speeds,
                      size_t n, double begin);

/* The run is over: adds environment, memory and use of the machine (`model`: its path, NULL for
 * none; kv_bytes: the most KV cache), warns of what disturbed it, and writes all that was asked
 * for.
 */
enum vinci_status bench_record_finish(struct bench_record *record, const char *model,
                                      uint64_t kv_bytes, struct vinci_error *err);
void bench_record_free(struct bench_record *record);

/* --from and --compare, which measure nothing. `other`: the second file of a comparison. */
enum vinci_status bench_record_read_only(const struct record_args *args, const char *other,
                                         struct vinci_error *err);

/* Writes JSON to a file, or to standard output for "-". */
enum vinci_status bench_write_json(const char *path, const json_t *root, struct vinci_error *err);

/* The formats that programs read and Markdown, in llama-bench's form. */
enum vinci_status bench_print_format(const json_t *root, enum bench_format format, FILE *file,
                                     struct vinci_error *err);

/* Two runs side by side, for people and for programs. */
void bench_print_comparison(const json_t *before, const json_t *after,
                            const struct comparison *comparison, FILE *file);
json_t *bench_comparison_json(const struct comparison *comparison);

#endif
