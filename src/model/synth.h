/* synth.h - the parts of vinci_synth: what is written (synth.c), the numbers (synth_weights.c), the
 * vocabulary (synth_vocab.c), the bytes' way to the disk (synth_output.c), and the two containers
 * (synth_safetensors.c, synth_gguf.c). */
#ifndef VINCI_MODEL_SYNTH_H
#define VINCI_MODEL_SYNTH_H

#include "base/buf.h"
#include "model/config.h"
#include "model/formats.h"

/* ---- numbers ------------------------------------------------------------------------------ */

enum synth_kind {
    SYNTH_VECTOR,      /* [n_rows] */
    SYNTH_MATRIX,      /* [n_rows, n_cols] */
    SYNTH_EXPERT_BIAS, /* [n_matrices, n_rows] */
    SYNTH_EXPERTS      /* [n_matrices, n_rows, n_cols], MXFP4 */
};

/* One tensor of the Hugging Face layout. Vectors and biases have n_cols 1. */
struct synth_tensor {
    char name[96];         /* Hugging Face's; for experts without _blocks and _scales */
    char gguf_name[2][64]; /* with two names, even rows go to the first, odd ones to the second */
    enum synth_kind kind;
    uint32_t n_matrices, n_rows, n_cols;
    float mean, std;
    uint32_t first_small_row; /* rows from here on have a sixteenth of std */
};

/* Random bytes that all tensors draw from: a row is a stretch of them, chosen and changed by (seed,
 * name, row), so rows need no random numbers of their own and no order. */
struct synth_pool {
    uint64_t seed;
    size_t n_blocks;     /* of QUANT_BLOCK elements */
    uint8_t *uniform;    /* [n_blocks][32] */
    uint8_t *half;       /* [n_blocks] 1: the block's scale is the smaller of the two */
    float quantile[256]; /* of the normal distribution; mean 0, variance 1 */
    struct synth_codes { /* FP4 codes for the two scales that experts have */
        float std;
        enum dtype layout; /* DTYPE_MXFP4 or DTYPE_MXFP4_GGUF */
        uint8_t scale;     /* e8m0; minus `half` */
        uint8_t *nibbles;  /* [n_blocks][16] */
    } codes[2];
};

/* Large enough for `n_params` weights to look unrelated and for rows of `max_cols`. */
enum vinci_status synth_pool_init(struct synth_pool *pool, uint64_t seed, uint64_t n_params,
                                  uint32_t max_cols, struct vinci_error *err);
void synth_pool_free(struct synth_pool *pool);

/* Writes rows of one tensor in one number format. */
struct synth_encoder {
    const struct synth_tensor *tensor;
    const struct synth_pool *pool;
    const struct synth_codes *codes; /* SYNTH_EXPERTS */
    enum dtype dtype;
    uint64_t key;
    union {
        uint32_t f32[256];
        uint16_t f16[256]; /* bf16 too */
        int8_t q8[256];
    } value[2][2];  /* [small row][half] */
    f16_t scale[2]; /* of Q8_0, [half] */
};

/* dtype F32, F16, BF16 or Q8_0; MXFP4 or MXFP4_GGUF for experts. */
enum vinci_status synth_encoder_init(struct synth_encoder *encoder, struct synth_pool *pool,
                                     const struct synth_tensor *tensor, enum dtype dtype,
                                     struct vinci_error *err);

/* dtype_row_bytes(dtype, n_cols) bytes; of MXFP4 without the scales. */
void synth_encode_row(const struct synth_encoder *encoder, uint32_t matrix, uint32_t row,
                      uint8_t *out);

/* n_cols / 32 bytes: the scales of a row of DTYPE_MXFP4. */
void synth_encode_scales(const struct synth_encoder *encoder, uint32_t matrix, uint32_t row,
                         uint8_t *out);

/* ---- vocabulary --------------------------------------------------------------------------- */

enum {
    SYNTH_TOKEN_NORMAL = 1,
    SYNTH_TOKEN_CONTROL = 3,
    SYNTH_TOKEN_USER = 4,
    SYNTH_TOKEN_UNUSED = 5
};

/* GGUF's view of a tokenizer. Texts are byte-level BPE's: every byte a printable character. */
struct synth_vocab {
    uint32_t n;
    char **texts;   /* [n] */
    uint8_t *types; /* [n] SYNTH_TOKEN_* */
    char **merges;  /* [n_merges] "left right" */
    size_t n_merges;
    int64_t bos, eos, pad, call; /* -1: none */
    uint32_t n_plain;            /* from here on there are special or unused tokens only */
};

/* From a tokenizer.json; n_vocab 0 takes the file's own size, a larger one is filled with unused
 * tokens. */
enum vinci_status synth_vocab_read(struct synth_vocab *vocab, const char *path, uint32_t n_vocab,
                                   struct vinci_error *err);

/* Single bytes, then numbered tokens, and gpt-oss's special ones at the end. */
enum vinci_status synth_vocab_invent(struct synth_vocab *vocab, uint32_t n_vocab,
                                     struct vinci_error *err);
void synth_vocab_free(struct synth_vocab *vocab);

/* ---- output ------------------------------------------------------------------------------- */

/* The file being written. The first failure stays, and turns later calls into no-ops. */
struct synth_output {
    enum vinci_status status;
    struct vinci_error *err;
    uint8_t *buffer;
    size_t n_buffered;
    int fd;
    char *path;
    uint64_t done, total; /* bytes of model files */
    vinci_progress_fn *progress;
    void *user;
};

/* n bytes of room, to be filled at once; n at most SYNTH_ROOM_MAX. Never NULL. */
enum { SYNTH_ROOM_MAX = 4 << 20 };
uint8_t *synth_output_room(struct synth_output *output, size_t n);
void synth_output_write(struct synth_output *output, const void *data, size_t n);
void synth_output_zeros(struct synth_output *output, size_t n);

enum vinci_status synth_output_init(struct synth_output *output,
                                    const struct vinci_synth_options *options,
                                    struct vinci_error *err);
/* Begins a new file, which must not exist; ends it, reporting what could not be written. */
enum vinci_status synth_output_open(struct synth_output *output, const char *path);
enum vinci_status synth_output_close(struct synth_output *output);
void synth_output_free(struct synth_output *output);

/* A small file, whole. */
enum vinci_status synth_write_file(const char *path, const void *data, size_t n,
                                   struct vinci_error *err);

/* ---- containers --------------------------------------------------------------------------- */

struct synth {
    const struct vinci_synth_options *options;
    struct model_config config;
    struct synth_vocab vocab;
    struct synth_tensor *tensors; /* [n_tensors] */
    size_t n_tensors;
    struct synth_pool pool;
    struct synth_output output;
};

/* Rows first, first + step, ... of every matrix, or their scales. Stops at the first failure. */
enum vinci_status synth_write_rows(struct synth *synth, const struct synth_tensor *tensor,
                                   enum dtype dtype, bool scales, uint32_t first, uint32_t step,
                                   struct vinci_error *err);

/* Each checks the free space, then writes: the files of a folder; the file that is open as
 * synth->output. */
enum vinci_status synth_write_safetensors(struct synth *synth, const char *folder,
                                          struct vinci_error *err);
enum vinci_status synth_write_gguf(struct synth *synth, const char *path, struct vinci_error *err);

/* Fails when the file system that holds `path` has no room for n bytes. */
enum vinci_status synth_check_space(const char *path, uint64_t n_bytes, struct vinci_error *err);

#endif
