/* prefix_file.c - saves and loads the tree of prefixes.
 *
 *   header   magic[16], key[2], n_nodes                       (64-bit words of this machine)
 *   a node   parent (0: the root, else 1 + index), n, n_tokens, n_full, n_window, checksum,
 *            tokens, pages of full layers, pages of window layers
 *
 * Parents stand before their children, and what was used last stands first, so a limit of size or
 * a damage costs what was used longest ago. The checksum is over the node's other words, tokens and
 * pages; it finds damage, not malice. A new file is written beside the old one, brought to the disk
 * and renamed. */
#include "engine/prefix_file.h"

#include "base/buf.h"
#include "base/lang.h"
#include "base/replace.h"
#include "model/weights.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 8, SAMPLE_BYTES = 4096 };

static const char magic[16] = "vinci prefixes\n";

struct header {
    char magic[16];
    uint64_t key[2], n_nodes;
};

struct record {
    uint64_t parent, n, n_tokens, n_full, n_window, checksum;
};

struct prefix_file {
    struct device *device;
    const struct log *log;
    uint32_t n_vocab;
    uint64_t key[2];
    char *path;
};

/* ---- sums ---------------------------------------------------------------------------------- */

struct sum {
    uint64_t a, b;
};

/* Eight bytes at a time into two sums with different multipliers; the size counts too. */
static void add_bytes(struct sum *sum, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    for (size_t left = n; left > 0;) {
        uint64_t word = 0;
        size_t size = left < sizeof word ? left : sizeof word;
        memcpy(&word, at, size);
        at += size;
        left -= size;
        sum->a = (sum->a ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum->a ^= sum->a >> 29;
        sum->b = (sum->b ^ word) * UINT64_C(0xd1342543de82ef95);
        sum->b ^= sum->b >> 31;
    }
    sum->a = (sum->a ^ n) * UINT64_C(0x9e3779b97f4a7c15);
    sum->b = (sum->b ^ n) * UINT64_C(0xd1342543de82ef95);
}

static void add_text(struct sum *sum, const char *text)
{
    add_bytes(sum, text, strlen(text));
}

/* Every field that keys and values depend on. */
static void add_config(struct sum *sum, const struct model_config *c)
{
    char text[512];
    snprintf(text, sizeof text, "%u %u %u %u %u %u %u %u %u %u %u %a %a %a %a %d %a %a %a %u %d",
             c->n_layers, c->n_hidden, c->n_intermediate, c->n_vocab, c->n_heads, c->n_kv_heads,
             c->head_dim, c->n_experts, c->n_experts_used, c->sliding_window, c->n_ctx_max,
             c->rms_norm_eps, c->swiglu_limit, c->swiglu_alpha, c->rope.theta, c->rope.yarn,
             c->rope.factor, c->rope.beta_fast, c->rope.beta_slow, c->rope.n_ctx_original,
             c->rope.truncate);
    add_text(sum, text);
    add_bytes(sum, c->layer_is_sliding, c->n_layers);
}

static void add_weights(struct sum *sum, const struct tensor_index *index)
{
    for (size_t i = 0; i < index->n_files; i++) {
        struct stat about = {0};
        fstat(index->files[i]->fd, &about);
        int64_t words[] = {about.st_size, about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
        add_bytes(sum, words, sizeof words);
    }
    for (size_t i = 0; i < index->n_tensors; i++) {
        const struct tensor *t = &index->tensors[i];
        add_text(sum, t->name);
        add_text(sum, t->type_name);
        add_bytes(sum, t->shape, t->n_dims * sizeof *t->shape);
        size_t n = t->n_bytes < SAMPLE_BYTES ? t->n_bytes : SAMPLE_BYTES;
        for (size_t k = 0; k < SAMPLES; k++)
            add_bytes(sum, t->data + (t->n_bytes - n) / (SAMPLES - 1) * k, n);
    }
}

/* ---- open ---------------------------------------------------------------------------------- */

enum vinci_status prefix_file_open(struct prefix_file **out, const char *folder,
                                   const struct model *model, const struct kv_cache *kv,
                                   enum vinci_activations activations, enum vinci_kv_type type,
                                   const struct log *log, struct vinci_error *err)
{
    struct stat about;
    struct buf path = {0};
    *out = NULL;
    if (!kv->device->ops->kv_page_read)
        return fail(err, VINCI_UNSUPPORTED,
                    "prefix cache folder: %s cannot save keys and values yet; leave the folder out",
                    kv->device->name);
    if (stat(folder, &about) != 0) return fail_errno(err, errno, folder, "open");
    if (!S_ISDIR(about.st_mode))
        return fail(err, VINCI_USAGE, "%s: expected a folder for the prefix cache", folder);
    struct prefix_file *file = array_new_zero(1, sizeof *file);
    if (!file) return fail_memory(err, sizeof *file, "the prefix cache's file");
    struct sum sum = {1, 2};
    uint64_t words[] = {activations, type, kv->page, kv->full.page_bytes, kv->window.page_bytes};
    add_text(&sum, vinci_version());
    add_bytes(&sum, words, sizeof words);
    add_config(&sum, &model->config);
    add_weights(&sum, &model->index);
    file->device = kv->device;
    file->log = log;
    file->n_vocab = model->config.n_vocab;
    file->key[0] = sum.a;
    file->key[1] = sum.b;
    if (!buf_printf(&path, "%s/prefixes-%016" PRIx64 "%016" PRIx64, folder, sum.a, sum.b)) {
        free(file);
        return fail_memory(err, strlen(folder), "the prefix cache's file");
    }
    file->path = path.data;
    *out = file;
    return VINCI_OK;
}

void prefix_file_close(struct prefix_file *file)
{
    if (!file) return;
    free(file->path);
    free(file);
}

static uint64_t data_bytes(const struct prefix_cache *cache, const struct record *record)
{
    return kv_pages_bytes(cache->kv, record->n_full, record->n_window);
}

static uint64_t checksum(const struct record *record, const int32_t *tokens, const uint8_t *data,
                         size_t n_bytes)
{
    struct sum sum = {3, 4};
    add_bytes(&sum, record, offsetof(struct record, checksum));
    add_bytes(&sum, tokens, record->n_tokens * sizeof *tokens);
    add_bytes(&sum, data, n_bytes);
    return sum.a ^ sum.b;
}

/* ---- load ---------------------------------------------------------------------------------- */

struct reading {
    const struct prefix_file *file;
    struct prefix_cache *cache;
    FILE *stream;
    struct prefix_node **nodes;   /* [n_nodes], NULL where there was no room */
    uint64_t n_nodes, n, n_bytes; /* the last: of the file */
    struct buf tokens, data;
};

static bool take(struct reading *r, void *to, size_t n)
{
    return fread(to, 1, n, r->stream) == n;
}

/* What the record says of itself fits together and to its parent. */
static bool is_sound(const struct reading *r, const struct record *record, uint64_t parent_n)
{
    const struct kv_cache *kv = r->cache->kv;
    if (record->n <= parent_n || record->n > INT32_MAX || record->n - parent_n != record->n_tokens)
        return false;
    uint32_t n = (uint32_t)record->n, n_pages = kv_pages_for(kv, n);
    return record->n_full == n_pages - parent_n / kv->page &&
           record->n_window == n_pages - kv_first_window_page(kv, n);
}

static bool check_tokens(const struct reading *r, const int32_t *tokens, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= r->file->n_vocab) return false;
    return true;
}

static void fill_pages(const struct prefix_file *file, const struct kv_cache *kv,
                       const struct prefix_node *node, const uint8_t *data)
{
    struct device *device = file->device;
    for (uint32_t i = 0; i < node->n_full + node->n_window; i++) {
        const struct page_pool *pool = i < node->n_full ? &kv->full : &kv->window;
        device->ops->kv_page_write(device, pool->kv, node->pages[i], data);
        data += pool->page_bytes;
    }
}

/* False: nothing more can be read. */
static bool read_node(struct reading *r)
{
    struct record record;
    struct prefix_node *parent = NULL, *node = NULL;
    if (!take(r, &record, sizeof record) || record.parent > r->n) return false;
    if (record.parent > 0) parent = r->nodes[record.parent - 1];
    bool lost = record.parent > 0 && !parent; /* a parent that found no room */
    uint64_t parent_n = parent ? parent->n : 0;
    if (lost) parent_n = record.n - record.n_tokens;
    if (!is_sound(r, &record, parent_n)) return false;
    size_t n_bytes = data_bytes(r->cache, &record), n_tokens = record.n_tokens * sizeof(int32_t);
    if (n_bytes > r->n_bytes || n_tokens > r->n_bytes) return false;
    r->tokens.size = r->data.size = 0;
    if (!buf_reserve(&r->tokens, n_tokens) || !buf_reserve(&r->data, n_bytes)) return false;
    const int32_t *tokens = (const int32_t *)(const void *)r->tokens.data;
    const uint8_t *data = (const uint8_t *)r->data.data;
    if (!take(r, r->tokens.data, n_tokens) || !take(r, r->data.data, n_bytes) ||
        checksum(&record, tokens, data, n_bytes) != record.checksum ||
        !check_tokens(r, tokens, record.n_tokens))
        return false;
    if (!lost) node = prefix_cache_put(r->cache, parent, tokens, (uint32_t)record.n);
    if (node) fill_pages(r->file, r->cache->kv, node, data);
    r->nodes[r->n++] = node;
    return true;
}

static void read_nodes(struct reading *r)
{
    const struct prefix_file *file = r->file;
    struct header header;
    struct stat about = {0};
    if (fstat(fileno(r->stream), &about) == 0) r->n_bytes = (uint64_t)about.st_size;
    if (!take(r, &header, sizeof header) || memcmp(header.magic, magic, sizeof magic) != 0 ||
        memcmp(header.key, file->key, sizeof file->key) != 0) {
        log_message(file->log, VINCI_LOG_WARN,
                    _("%s: no prefix cache of this model; it is left aside"), file->path);
        return;
    }
    r->n_nodes = header.n_nodes;
    if (header.n_nodes > PREFIX_NODES_MAX) r->n_nodes = PREFIX_NODES_MAX;
    if (!(r->nodes = array_new_zero(r->n_nodes, sizeof *r->nodes))) return;
    while (r->n < r->n_nodes && read_node(r)) {}
    if (r->n < header.n_nodes || fgetc(r->stream) != EOF)
        log_message(file->log, VINCI_LOG_WARN,
                    _("%s: damaged or cut off behind %llu of %llu beginnings of prompts; these are "
                      "used"),
                    file->path, (unsigned long long)r->n, (unsigned long long)header.n_nodes);
}

void prefix_file_load(const struct prefix_file *file, struct prefix_cache *cache)
{
    struct reading r = {.file = file, .cache = cache, .stream = fopen(file->path, "re")};
    if (!r.stream) {
        if (errno != ENOENT)
            log_message(file->log, VINCI_LOG_WARN, _("cannot open %s: %s"), file->path,
                        _(strerror(errno)));
        return;
    }
    read_nodes(&r);
    log_message(file->log, VINCI_LOG_INFO, _("%s: %u beginnings of prompts, %.1f MB"), file->path,
                prefix_cache_n_nodes(cache), (double)prefix_cache_bytes(cache) / 1e6);
    fclose(r.stream);
    free(r.nodes);
    buf_free(&r.tokens);
    buf_free(&r.data);
}

/* ---- save ---------------------------------------------------------------------------------- */

struct writing {
    const struct prefix_file *file;
    const struct prefix_cache *cache;
    FILE *stream;
    struct buf data;
    uint64_t n_nodes, n_bytes;
};

/* The next in the file: from what was used last on. Ancestors are newer than what builds on them.
 */
static bool write_node(struct writing *w, struct prefix_node *node)
{
    struct device *device = w->file->device;
    const struct kv_cache *kv = w->cache->kv;
    struct record record = {node->parent->parent ? node->parent->number : 0,
                            node->n,
                            node->n - node->parent->n,
                            node->n_full,
                            node->n_window,
                            0};
    size_t n_bytes = data_bytes(w->cache, &record);
    w->data.size = 0;
    if (!buf_reserve(&w->data, n_bytes)) {
        errno = ENOMEM;
        return false;
    }
    uint8_t *at = (uint8_t *)w->data.data;
    for (uint32_t i = 0; i < node->n_full + node->n_window; i++) {
        const struct page_pool *pool = i < node->n_full ? &kv->full : &kv->window;
        device->ops->kv_page_read(device, pool->kv, node->pages[i], at);
        at += pool->page_bytes;
    }
    record.checksum = checksum(&record, node->tokens, (uint8_t *)w->data.data, n_bytes);
    return fwrite(&record, sizeof record, 1, w->stream) == 1 &&
           fwrite(node->tokens, sizeof *node->tokens, record.n_tokens, w->stream) ==
               record.n_tokens &&
           fwrite(w->data.data, 1, n_bytes, w->stream) == n_bytes;
}

/* Numbers the nodes that the limit leaves room for, from 1; the others have 0. */
static void choose_nodes(struct writing *w, uint64_t max_bytes)
{
    w->n_bytes = sizeof(struct header);
    for (struct prefix_node *node = w->cache->newest; node; node = node->older) {
        uint64_t n = sizeof(struct record) + (node->n - node->parent->n) * sizeof(int32_t) +
                     kv_pages_bytes(w->cache->kv, node->n_full, node->n_window);
        bool known = !node->parent->parent || node->parent->number;
        bool fits = known && (max_bytes == 0 || w->n_bytes + n <= max_bytes);
        node->number = fits ? ++w->n_nodes : 0;
        if (fits) w->n_bytes += n;
    }
}

static bool write_all(struct writing *w)
{
    struct header header = {.key = {w->file->key[0], w->file->key[1]}, .n_nodes = w->n_nodes};
    memcpy(header.magic, magic, sizeof magic);
    bool ok = fwrite(&header, sizeof header, 1, w->stream) == 1;
    for (struct prefix_node *node = w->cache->newest; ok && node; node = node->older)
        if (node->number) ok = write_node(w, node);
    return ok && fflush(w->stream) == 0 && fsync(fileno(w->stream)) == 0;
}

/* The replacement's file is closed behind the last word. */
static enum vinci_status write_file(struct writing *w, struct replacement *file, uint64_t max_bytes,
                                    struct vinci_error *err)
{
    if (!(w->stream = fdopen(file->fd, "w"))) return fail_errno(err, errno, file->path, "write");
    file->fd = -1;
    choose_nodes(w, max_bytes);
    bool ok = write_all(w);
    int error = errno;
    if (fclose(w->stream) != 0 && ok) {
        ok = false;
        error = errno;
    }
    return ok ? VINCI_OK : fail_errno(err, error, file->path, "write");
}

void prefix_file_save(const struct prefix_file *file, const struct prefix_cache *cache,
                      uint64_t max_bytes)
{
    struct writing w = {.file = file, .cache = cache};
    struct replacement place;
    struct vinci_error err;
    enum vinci_status status = replace_begin(&place, file->path, &err);
    if (status == VINCI_OK) status = write_file(&w, &place, max_bytes, &err);
    if (status == VINCI_OK) status = replace_publish(&place, &err);
    if (status == VINCI_OK)
        log_message(file->log, VINCI_LOG_INFO, _("%s: saved %llu beginnings of prompts, %.1f MB"),
                    file->path, (unsigned long long)w.n_nodes, (double)w.n_bytes / 1e6);
    else log_message(file->log, VINCI_LOG_WARN, _("cannot save the prefix cache: %s"), err.text);
    replace_end(&place);
    buf_free(&w.data);
}
