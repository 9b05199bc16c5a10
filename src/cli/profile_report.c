/* profile_report.c - the table and the JSON of `--profile`.
 *
 * A table is for people; its columns may change. GB/s are the bytes of the weights that an
 * operation went over in its time: what holds decoding up when it is near the streaming read, and
 * says little where many tokens share a pass. */
#include "cli/profile_report.h"

#include "base/lang.h"

void profile_print(FILE *out, struct vinci_engine *engine)
{
    size_t n;
    const struct vinci_profile_row *rows = vinci_engine_profile(engine, &n);
    double all = 0;
    for (size_t i = 0; i < n; i++) all += rows[i].seconds;
    fputs(_("profile           layers     calls    seconds   us a call   share     GB/s\n"), out);
    for (size_t i = 0; i < n; i++) {
        const struct vinci_profile_row *row = &rows[i];
        fprintf(out, "%-17s %-7s %8llu %10.4f %11.1f %5.1f %%", row->operation, row->layers,
                (unsigned long long)row->n_calls, row->seconds,
                1e6 * row->seconds / (double)row->n_calls, 100 * row->seconds / all);
        if (row->weight_bytes)
            fprintf(out, " %8.1f", (double)row->weight_bytes / row->seconds / 1e9);
        fputc('\n', out);
    }
}

json_t *profile_json(struct vinci_engine *engine)
{
    size_t n;
    const struct vinci_profile_row *rows = vinci_engine_profile(engine, &n);
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:I, s:f, s:I}", "operation", rows[i].operation, "layers",
                             rows[i].layers, "calls", (json_int_t)rows[i].n_calls, "seconds",
                             rows[i].seconds, "weight_bytes", (json_int_t)rows[i].weight_bytes));
    return array;
}
