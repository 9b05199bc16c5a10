/*
 * vinci.h - the public API: run OpenAI's gpt-oss models on CPUs and Ascend NPUs.
 *
 *   engine     loaded weights and a device; shared, read-only after open
 *   session    one timeline of tokens with its KV cache
 *   request    work for the scheduler: a prompt in, tokens out by callback
 *   tokenizer  text <-> token ids
 *   harmony    conversations <-> token ids, in the format the models are trained on
 *
 * Rules that hold for every function here:
 *   - A function that can fail returns enum vinci_status; its last parameter, `err`, may be NULL
 *     and otherwise receives one sentence: what, where, expected, got, what to do.
 *   - Objects are opaque, made through `**out` (left NULL on failure) and released by a function
 *     that accepts NULL.
 *   - Nothing here prints, exits, or reads the environment.
 *   - An engine may be used from several threads; a session, request or stream from one at a time.
 */
#ifndef VINCI_H
#define VINCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VINCI_VERSION "0.1.0"

#if defined(__GNUC__)
#define VINCI_API __attribute__((visibility("default")))
#define VINCI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define VINCI_API
#define VINCI_PRINTF(fmt, args)
#endif

/* ---- status ------------------------------------------------------------------------------- */

/* name, value, text. The value is also the program's exit code (docs: vinci(1), EXIT STATUS). */
#define VINCI_STATUS_LIST(X) \
    X(OK, 0, "success") \
    X(FAILED, 1, "an error of no other kind") \
    X(USAGE, 2, "wrong arguments") \
    X(NOT_FOUND, 3, "a file, model or device that is not there") \
    X(IO, 4, "a file could not be read or written") \
    X(BAD_FILE, 5, "a file is damaged or not what it should be") \
    X(UNSUPPORTED, 6, "a file or an option that vinci does not handle") \
    X(NO_MEMORY, 7, "memory could not be had") \
    X(LIMIT, 8, "beyond a limit: context, vocabulary, size") \
    X(NO_DEVICE, 9, "the device or its driver is missing") \
    X(DEVICE, 10, "the device reported an error") \
    X(CANCELLED, 11, "stopped on request")

enum vinci_status {
#define VINCI_STATUS_ENUM(name, value, text) VINCI_##name = value,
    VINCI_STATUS_LIST(VINCI_STATUS_ENUM)
#undef VINCI_STATUS_ENUM
};

struct vinci_error {
    enum vinci_status status;
    char text[1024]; /* UTF-8, one sentence, no newline at the end; "" after success */
};

/* The constant's name without prefix ("BAD_FILE"), and what it means. Never NULL. */
VINCI_API const char *vinci_status_name(enum vinci_status status);
VINCI_API const char *vinci_status_text(enum vinci_status status);

VINCI_API const char *vinci_version(void);

/* ---- log ---------------------------------------------------------------------------------- */

enum vinci_log_level { VINCI_LOG_ERROR, VINCI_LOG_WARN, VINCI_LOG_INFO, VINCI_LOG_DEBUG };

/* Where the library's messages go; `user` is handed back. May be called from any thread. */
typedef void vinci_log_fn(void *user, enum vinci_log_level level, const char *message);

/* Bytes of a long piece of work that are done, of all. Return false to stop it: CANCELLED. */
typedef bool vinci_progress_fn(void *user, uint64_t done, uint64_t total);

/* ---- models ------------------------------------------------------------------------------- */

enum vinci_container { VINCI_CONTAINER_HF, VINCI_CONTAINER_ORIGINAL, VINCI_CONTAINER_GGUF };

#define VINCI_DTYPE_COUNT_MAX 16

/* What `vinci info` prints. Sizes in bytes. Strings are NUL-terminated, "" if unknown. */
struct vinci_model_info {
    char path[1024];      /* the file or folder that was opened */
    char tokenizer[1024]; /* file the tokenizer would be read from, "" if none */
    enum vinci_container container;
    uint32_t n_files;
    uint32_t n_tensors;
    uint32_t n_layers, n_hidden, n_intermediate, n_vocab;
    uint32_t n_heads, n_kv_heads, head_dim;
    uint32_t n_experts, n_experts_used;
    uint32_t sliding_window, n_sliding_layers;
    uint32_t n_ctx_max;
    float rope_theta, rope_factor; /* factor 1 and yarn false: plain rope */
    bool rope_yarn, tied_embeddings;
    float rms_norm_eps, swiglu_limit;
    uint64_t n_params, n_params_active;
    uint64_t file_bytes;         /* of all files */
    uint64_t weight_bytes;       /* of all tensors bound */
    uint64_t bytes_per_token;    /* weights read to decode one token at batch 1 */
    uint64_t bytes_per_expert;   /* of these, for each of the n_experts_used: all layers together */
    uint64_t kv_bytes_per_token; /* f16, full layers only: what a longer context costs */
    uint64_t kv_window_bytes;    /* f16, window layers, constant per sequence */
    uint64_t converted_bytes;    /* weights that had to be copied into another layout at load */
    uint32_t n_dtypes;
    struct {
        char name[12]; /* "MXFP4", "BF16", ... */
        uint32_t n_tensors;
        uint64_t bytes;
    } dtypes[VINCI_DTYPE_COUNT_MAX];
};

/* Where `vinci pull` and the hubs' own tools keep what they fetched; any may be NULL. */
struct vinci_caches {
    const char *modelscope;  /* usually ~/.cache/modelscope/hub */
    const char *huggingface; /* usually ~/.cache/huggingface/hub */
};

/* From what a user types to a path: an existing file or folder is itself; a hub id such as
 * "openai-mirror/gpt-oss-20b" is looked up in the caches, "hf:..." or "ms:..." in one of them.
 * `path` has room for `size` bytes. */
VINCI_API enum vinci_status vinci_model_find(const char *name, const struct vinci_caches *caches,
                                             char *path, size_t size, struct vinci_error *err);

/* Opens `path` (a folder or a file: see docs/model.md, Files), checks every tensor
 * against the configuration, fills `info`, closes. Weights are not read. `log` may be NULL. */
VINCI_API enum vinci_status vinci_model_describe(const char *path, struct vinci_model_info *info,
                                                 vinci_log_fn *log, void *log_user,
                                                 struct vinci_error *err);

/* ---- tokenizer ---------------------------------------------------------------------------- */

struct vinci_tokenizer; /* read-only after open: may be shared by threads */

/* `path`: tokenizer.json, *.tiktoken (o200k_harmony's special tokens are added), a GGUF file, or
 * a model folder that holds one of them. */
VINCI_API enum vinci_status vinci_tokenizer_open(struct vinci_tokenizer **out, const char *path,
                                                 struct vinci_error *err);
VINCI_API void vinci_tokenizer_close(struct vinci_tokenizer *tokenizer);

/* Number of ids: one more than the largest id, special tokens included. */
VINCI_API uint32_t vinci_tokenizer_n_vocab(const struct vinci_tokenizer *tokenizer);

/* Appends nothing, allocates: *ids (free with vinci_free) and *n_ids. Text is `n_bytes` bytes and
 * may hold NUL. Ill-formed UTF-8 is replaced by U+FFFD, one for each maximal ill-formed part.
 * Special tokens in the text are recognised only with `parse_special`. */
VINCI_API enum vinci_status vinci_tokenize(const struct vinci_tokenizer *tokenizer,
                                           const char *text, size_t n_bytes, bool parse_special,
                                           int32_t **ids, size_t *n_ids, struct vinci_error *err);

/* The exact bytes of one token, borrowed from the tokenizer; NULL and 0 for an unknown id. */
VINCI_API const char *vinci_token_bytes(const struct vinci_tokenizer *tokenizer, int32_t id,
                                        size_t *n_bytes);

/* True for a control token such as <|end|>. */
VINCI_API bool vinci_token_is_special(const struct vinci_tokenizer *tokenizer, int32_t id);

/* Id of the special token with exactly this text ("<|return|>"), -1 if there is none. */
VINCI_API int32_t vinci_token_special_id(const struct vinci_tokenizer *tokenizer, const char *text);

/* The exact concatenation of the tokens' bytes; *text is NUL-terminated, free with vinci_free. */
VINCI_API enum vinci_status vinci_detokenize(const struct vinci_tokenizer *tokenizer,
                                             const int32_t *ids, size_t n_ids, char **text,
                                             size_t *n_bytes, struct vinci_error *err);

/* Turns a stream of tokens into valid UTF-8: an unfinished character is held back until it is
 * whole; ill-formed parts become U+FFFD. Plain data, no clean-up: set to zero to begin. */
struct vinci_utf8_stream {
    uint8_t held[4];
    uint8_t n_held;
};

/* Writes what can be shown after `n` more bytes to `out` (room for 3 * (n + 4) bytes); returns the
 * number of bytes written. `flush` ends the stream: what is held becomes U+FFFD. */
VINCI_API size_t vinci_utf8_stream_next(struct vinci_utf8_stream *stream, const char *bytes,
                                        size_t n, bool flush, char *out);

/* Releases what a function here allocated for the caller. */
VINCI_API void vinci_free(void *p);

/* ---- engine ------------------------------------------------------------------------------- */

enum vinci_activations { VINCI_ACTIVATIONS_INT8, VINCI_ACTIVATIONS_F32 };
enum vinci_kv_type { VINCI_KV_F16, VINCI_KV_F32, VINCI_KV_Q8_0 };

/* How an NPU keeps the weights and what it computes in (docs/ascend.md). */
enum vinci_npu_dtype {
    VINCI_NPU_AUTO,   /* compact where bf16 does not fit, else bf16 */
    VINCI_NPU_BF16,   /* experts expanded to BF16, exactly; BF16 activations */
    VINCI_NPU_F16,    /* everything in F16: finer activations, smaller range */
    VINCI_NPU_COMPACT /* MXFP4 experts as two planes of INT4, exactly; BF16 activations */
};

/* How attention is computed in the decode steps that an NPU records and replays. */
enum vinci_npu_attention {
    VINCI_NPU_ATTENTION_AUTO,  /* fused where it was tried successfully and there is much to read */
    VINCI_NPU_ATTENTION_SMALL, /* by small operators: every CANN, more memory traffic */
    VINCI_NPU_ATTENTION_FUSED  /* by CANN's fused operator, updated before each step; small where
                                  that is refused */
};

/* Where CANN, the Ascend software, is installed; either may be NULL. The usual folders and the
 * loader's path are searched too. */
struct vinci_cann_places {
    const char *home;         /* ASCEND_HOME_PATH */
    const char *toolkit_home; /* ASCEND_TOOLKIT_HOME */
};

struct vinci_engine_options {
    const char *model;     /* folder or file; required (hub ids: vinci_model_find) */
    const char *device;    /* NULL or "cpu"; "npu:0" */
    const char *cpu_level; /* NULL: the best the machine has; else "scalar", "avx2", ... */
    uint32_t n_threads;    /* 0: one a core that the process may use */
    const char *cpu_list;  /* bind threads to these processors, e.g. "0-15,32"; NULL: do not bind */
    uint32_t n_ctx;        /* longest sequence; 0: the model's own limit */
    uint32_t n_batch;      /* most tokens in one step; 0: 512 */
    uint32_t n_seqs;       /* most sequences at once; 0: 16 */
    enum vinci_activations activations;
    enum vinci_kv_type kv_type;     /* of a CPU; an NPU keeps them as it computes */
    enum vinci_npu_dtype npu_dtype; /* of an NPU */
    enum vinci_npu_attention npu_attention;
    struct vinci_cann_places cann;
    bool prefetch;     /* ask the system to read the files ahead */
    bool lock_weights; /* keep the files in memory (mlock); refused: a warning */
    bool profile;      /* time every operation: vinci_engine_profile */
    uint64_t kv_bytes; /* most memory for keys and values, cached prompts included; 0: what n_seqs
                          sequences of n_ctx need */
    bool prefix_cache; /* requests share the beginnings of prompts that others have computed: same
                          bits, less time; without kv_bytes it keeps at most 2 GiB */
    const char *prefix_cache_folder;  /* with prefix_cache: what it holds is saved here by
                            vinci_engine_close and taken up again by the next engine of the same
                            model; NULL: forgotten. Not on an NPU */
    uint64_t prefix_cache_file_bytes; /* largest file there; 0: all that memory holds */
    const char *script; /* for testing clients: a file of answers that are given in place of the
                           model's choice (docs/scripted.md); NULL: the model chooses */
    vinci_log_fn *log;  /* may be NULL */
    void *log_user;
    vinci_progress_fn *progress; /* while weights are brought to an NPU; may be NULL */
    void *progress_user;
};

struct vinci_engine;

/* The defaults: everything zero, int8 activations, f16 KV cache, prefetch. */
VINCI_API void vinci_engine_options_init(struct vinci_engine_options *options);

/* Maps and checks the model, makes the device ready. Weights stay in the mapped file. */
VINCI_API enum vinci_status vinci_engine_open(struct vinci_engine **out,
                                              const struct vinci_engine_options *options,
                                              struct vinci_error *err);

/* Every session and request of the engine must be closed before. */
VINCI_API void vinci_engine_close(struct vinci_engine *engine);

/* Borrowed; lives as long as the engine. */
VINCI_API const struct vinci_model_info *vinci_engine_model(const struct vinci_engine *engine);

/* Where file i of the model is mapped, i < n_files of vinci_engine_model; NULL beyond. Lives as
 * long as the engine. */
VINCI_API const void *vinci_engine_file(const struct vinci_engine *engine, uint32_t i,
                                        size_t *n_bytes);

struct vinci_engine_info {
    char device[64];    /* "cpu" */
    char cpu_level[16]; /* the kernels in use: "avx512", "scalar" */
    uint32_t n_threads, n_ctx, n_batch, n_seqs;
    double load_seconds;           /* time vinci_engine_open took */
    uint64_t upload_bytes;         /* of weights that were brought to an NPU; 0 on a CPU */
    double upload_seconds;         /* of load_seconds */
    uint64_t kv_bytes;             /* KV cache in use now */
    uint64_t kv_bytes_peak;        /* the most that was in use at once */
    uint64_t kv_bytes_max;         /* the most that may be in use at once */
    uint64_t scratch_bytes;        /* activations and other step memory */
    uint64_t prefetched_bytes;     /* of the files, brought into memory so far by `prefetch` */
    uint32_t n_running, n_waiting; /* requests: taking part in steps; in the queue */
    uint32_t n_paused;             /* of those that were begun, held by vinci_request_pause */
    uint64_t n_steps;              /* since open */
    uint64_t n_prompt_tokens;      /* of all requests that were started, since open */
    uint64_t n_reused_tokens;      /* of these, not computed again */
    uint64_t n_generated_tokens;
    uint64_t n_preempted;  /* times that a request gave its memory back to others and began anew */
    uint64_t cached_bytes; /* of kv_bytes: kept for requests to come, given back when needed */
    uint32_t n_cached;     /* beginnings kept */
};
/* May be called from any thread, also during a step. */
VINCI_API void vinci_engine_info(const struct vinci_engine *engine, struct vinci_engine_info *info);

/* What the steps so far spent on one operation of one kind of layer. */
struct vinci_profile_row {
    const char *operation; /* "qkv", "attention", ... */
    const char *layers;    /* "full", "window", or "" outside the layers */
    uint64_t n_calls;
    double seconds;
    uint64_t weight_bytes; /* of the matrices gone over; 0 where there is none */
};

/* The rows in the order of a step, those without a call left out; *n is 0 unless the engine was
 * opened with `profile`. Borrowed until the next call; not while a step is under way. */
VINCI_API const struct vinci_profile_row *vinci_engine_profile(struct vinci_engine *engine,
                                                               size_t *n);
/* Begins to count anew. */
VINCI_API void vinci_engine_profile_reset(struct vinci_engine *engine);

/* ---- session ------------------------------------------------------------------------------ */

struct vinci_session;

VINCI_API enum vinci_status vinci_session_open(struct vinci_session **out,
                                               struct vinci_engine *engine,
                                               struct vinci_error *err);
VINCI_API void vinci_session_close(struct vinci_session *session);

/* The tokens whose keys and values the session holds; borrowed until the next call. */
VINCI_API const int32_t *vinci_session_tokens(const struct vinci_session *session, size_t *n);

/* Appends n >= 1 tokens, in chunks of at most the engine's n_batch. Logits of the positions i with
 * want[i] != 0 (want NULL: only the last) are written to `logits` [number wanted, n_vocab] in
 * order; logits NULL: none are computed. On failure the session holds the tokens of the chunks
 * that were done. Equal, bit for bit, to any other chunking of the same tokens. */
VINCI_API enum vinci_status vinci_session_append(struct vinci_session *session,
                                                 const int32_t *tokens, size_t n,
                                                 const uint8_t *want, float *logits,
                                                 struct vinci_error *err);

/* Keeps at most the first n tokens. Window layers hold little of the past: the session may have to
 * go back further, and says in *n_kept how many tokens it still has (<= n). */
VINCI_API enum vinci_status vinci_session_rewind(struct vinci_session *session, size_t n,
                                                 size_t *n_kept, struct vinci_error *err);

/* Makes the session hold exactly these n >= 1 tokens, reusing the longest prefix it can; writes the
 * last position's logits [n_vocab] (may be NULL) and, in *n_reused (may be NULL), how many tokens
 * were not computed again (at most n - 1). Equal, bit for bit, to a new session. */
VINCI_API enum vinci_status vinci_session_sync(struct vinci_session *session, const int32_t *tokens,
                                               size_t n, float *logits, size_t *n_reused,
                                               struct vinci_error *err);

/* ---- sampling ----------------------------------------------------------------------------- */

struct vinci_logit_bias {
    int32_t token;
    float bias;
};

/* Applied in this order: logit bias, repetition penalty, presence and frequency penalties,
 * temperature, top-k, top-p, min-p, draw. See docs/sampling.md for each formula. */
struct vinci_sampling {
    float temperature;        /* 0: greedy, the first of equal maxima */
    uint32_t top_k;           /* 0: off */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off */
    float repetition_penalty; /* 1: off; over prompt and output */
    float presence_penalty;   /* 0: off; over the output */
    float frequency_penalty;  /* 0: off; over the output */
    uint64_t seed;            /* same seed, same text */
    const struct vinci_logit_bias *logit_bias;
    size_t n_logit_bias;
};

/* temperature 1, everything else off, seed 0. */
VINCI_API void vinci_sampling_init(struct vinci_sampling *sampling);

#define VINCI_TOP_LOGPROBS_MAX 20

struct vinci_token_logprob {
    int32_t token;
    float logprob; /* natural logarithm, of the model's own distribution (before sampling) */
};

/* ---- constraints -------------------------------------------------------------------------- */

/* What a text may be, as an automaton over the bytes of a tokenizer's tokens. Immutable and counted
 * by reference: it may be used by any number of requests and threads, and closed while they run. */
struct vinci_grammar;

/* Any JSON object (response_format json_object). */
VINCI_API enum vinci_status vinci_grammar_json(struct vinci_grammar **out,
                                               const struct vinci_tokenizer *tokenizer,
                                               struct vinci_error *err);

/* The JSON values that a schema (a JSON document of n_bytes) describes; docs/grammar.md lists the
 * keywords. UNSUPPORTED names the first keyword that is not handled and its path
 * ("#/properties/a/not"); BAD_FILE a schema that is not well-formed; LIMIT one that is too large;
 * USAGE one that no finite value satisfies. The tokenizer must outlive the grammar. */
VINCI_API enum vinci_status vinci_grammar_json_schema(struct vinci_grammar **out,
                                                      const struct vinci_tokenizer *tokenizer,
                                                      const char *schema, size_t n_bytes,
                                                      struct vinci_error *err);

/* The texts that a regular expression describes as a whole (the syntax of a schema's `pattern`). */
VINCI_API enum vinci_status vinci_grammar_regex(struct vinci_grammar **out,
                                                const struct vinci_tokenizer *tokenizer,
                                                const char *pattern, size_t n_bytes,
                                                struct vinci_error *err);
VINCI_API void vinci_grammar_close(struct vinci_grammar *grammar);

/* Whether a whole text is of the grammar. */
VINCI_API enum vinci_status vinci_grammar_accepts(const struct vinci_grammar *grammar,
                                                  const char *text, size_t n_bytes, bool *accepts,
                                                  struct vinci_error *err);

enum vinci_tool_choice {
    VINCI_TOOL_CHOICE_AUTO,    /* the model decides */
    VINCI_TOOL_CHOICE_NONE,    /* no call */
    VINCI_TOOL_CHOICE_REQUIRED /* after reasoning, if any, one of the tools is called */
};

struct vinci_tool_rule {
    const char *recipient;                 /* "functions.get_weather", "browser.search", "python" */
    const struct vinci_grammar *arguments; /* of the call's content; NULL: any text */
};

/* Rules for a turn of the assistant in harmony. The messages' headers are held to the form of the
 * training; channels are analysis, final and, where something can be called, commentary. The
 * content of a message can be ended exactly where its grammar is complete, by <|return|> on channel
 * final, <|call|> in a call and <|end|> elsewhere; where nothing else can follow, it must be.
 * What the prompt ends with decides where the rules begin: behind <|start|>assistant, inside a
 * header, or inside a content ("<|start|>assistant<|channel|>final<|message|>"). */
struct vinci_turn_rules {
    const struct vinci_grammar *response; /* of the content on channel final; NULL: any text */
    enum vinci_tool_choice tool_choice;
    const struct vinci_tool_rule *tools; /* what may be called; for a named tool_choice only this */
    size_t n_tools;                      /* 0: nothing may be called */
    bool parallel_calls; /* a call may also end in <|end|>, and another message follow */
};

/* ---- requests ----------------------------------------------------------------------------- */

enum vinci_finish {
    VINCI_FINISH_NONE,      /* not finished */
    VINCI_FINISH_STOP,      /* a stop token or stop string */
    VINCI_FINISH_LENGTH,    /* max_new_tokens */
    VINCI_FINISH_CONTEXT,   /* the context is full */
    VINCI_FINISH_CANCELLED, /* the callback or vinci_request_cancel said so */
    VINCI_FINISH_ERROR      /* see `error` in the result */
};

/* One generated token. `text` is what became showable: valid UTF-8, without special tokens' text
 * and without any part that may still become a stop string. */
struct vinci_token_event {
    int32_t token;
    size_t index;     /* 0 for the first generated token */
    const char *text; /* borrowed for the call; "" when nothing is showable yet */
    size_t n_text;
    float logprob;                         /* of the token, 0 when n_top_logprobs was 0 */
    const struct vinci_token_logprob *top; /* best first */
    size_t n_top;
    bool last; /* the request is finished after this event */
};

/* Return false to cancel. Called from the thread that runs vinci_engine_step. */
typedef bool vinci_token_fn(void *user, const struct vinci_token_event *event);

struct vinci_request_options {
    const int32_t *prompt; /* copied */
    size_t n_prompt;       /* >= 1 */
    size_t max_new_tokens; /* 0: until the context is full */
    struct vinci_sampling sampling;
    const int32_t *stop_tokens; /* copied; the stop token itself is reported with text "" */
    size_t n_stop_tokens;
    const char *const *stop_strings; /* copied, UTF-8 */
    size_t n_stop_strings;
    uint32_t n_top_logprobs;                 /* 0: no log-probabilities */
    const struct vinci_tokenizer *tokenizer; /* NULL: no text; must outlive the request */
    /* At most one of these; both need `tokenizer`, the one the grammars were made for. Grammars are
     * retained, the rest is copied. What the sampling options forbid stays forbidden; a request
     * that has no token left fails. */
    const struct vinci_grammar *grammar; /* of the whole output, which ends where it is complete:
                                            with a stop token, or FINISH_STOP where nothing can
                                            follow; NULL: any */
    const struct vinci_turn_rules *turn; /* NULL: none */
    int32_t priority;                    /* higher goes first; 0 is usual */
    uint64_t fair_key; /* whose request it is: waiting requests of the same priority take
                          turns by key, counted in tokens */
    struct vinci_session
        *session;             /* NULL: a session of its own; else that one is synced and used */
    vinci_token_fn *on_token; /* may be NULL */
    void *user;
};

struct vinci_request_result {
    enum vinci_finish finish;
    struct vinci_error error;
    size_t n_prompt, n_reused, n_generated;
    double queue_seconds;   /* submitted -> first chunk computed */
    double prefill_seconds; /* first chunk -> first token (its step included) */
    double decode_seconds;  /* first token -> last token */
};

struct vinci_request;

VINCI_API void vinci_request_options_init(struct vinci_request_options *options);

/* Queues the request; vinci_engine_step does the work. May be called from any thread. */
VINCI_API enum vinci_status vinci_request_submit(struct vinci_request **out,
                                                 struct vinci_engine *engine,
                                                 const struct vinci_request_options *options,
                                                 struct vinci_error *err);
/* Takes effect within one step; may be called from any thread. */
VINCI_API void vinci_request_cancel(struct vinci_request *request);
/* Holds the request, or lets it go on: steps leave it out, others take its turns, and its memory
 * too if they need it (it is computed again then). What it generates stays the same. May be called
 * from any thread, and from its on_token. */
VINCI_API void vinci_request_pause(struct vinci_request *request, bool paused);
VINCI_API bool vinci_request_done(const struct vinci_request *request);
VINCI_API void vinci_request_result(const struct vinci_request *request,
                                    struct vinci_request_result *result);
/* The generated ids; borrowed until the next step. */
VINCI_API const int32_t *vinci_request_tokens(const struct vinci_request *request, size_t *n);
VINCI_API void vinci_request_close(struct vinci_request *request);

/* Runs one step over all requests that have work: decode tokens and prefill chunks together.
 * *n_active is how many requests are still unfinished (0: nothing to do). A request's own failure
 * is in its result, not here; this fails only when the engine itself cannot go on.
 *
 * On an NPU the next step runs already while this one's tokens are reported, and goes on when this
 * returns: what is submitted meanwhile begins in the step after it. Nothing else differs: cancel,
 * pause and a callback's false take effect with this step, and the next one's failure is reported
 * by the next call. */
VINCI_API enum vinci_status vinci_engine_step(struct vinci_engine *engine, size_t *n_active,
                                              struct vinci_error *err);

/* Submit, step until done, result: the whole of a simple generation. */
VINCI_API enum vinci_status vinci_generate(struct vinci_engine *engine,
                                           const struct vinci_request_options *options,
                                           struct vinci_request_result *result,
                                           struct vinci_error *err);

/* ---- devices ------------------------------------------------------------------------------ */

struct vinci_device_info {
    char id[16];           /* "cpu", "npu:0": what --device takes */
    char name[96];         /* the processor's own name, "" if it gives none */
    uint64_t memory_bytes; /* for a CPU: the machine's, or its control group's limit */
    uint64_t memory_free_bytes;
    /* CPUs; 0 and "" otherwise */
    uint32_t n_cores;            /* that this process may use */
    uint32_t n_hardware_threads; /* of those cores */
    uint32_t n_nodes;            /* NUMA nodes */
    char isa[96];                /* kernel levels, best first: "avx512 avx2 scalar" */
    /* NPUs; "" and NAN where the driver does not say */
    char driver[32], firmware[32], cann[32];
    double temperature_celsius, power_watts, utilisation_percent;
};

/* The CPU and every NPU; `cann` may be NULL. *devices is freed with vinci_free. A missing or broken
 * NPU driver is no failure: *npu_status and npu_reason (either may be NULL) say why there is no NPU
 * in the list. */
VINCI_API enum vinci_status vinci_devices(struct vinci_device_info **devices, size_t *n,
                                          const struct vinci_cann_places *cann,
                                          enum vinci_status *npu_status,
                                          struct vinci_error *npu_reason, struct vinci_error *err);

/* What of CANN is installed, for a report: lines of two words, "folder PATH", "version TEXT",
 * "library PATH" for each library that would be used, "missing NAME" for each function that vinci
 * would use if it were there. Nothing is started. Freed with vinci_free. NO_DEVICE: no CANN. */
VINCI_API enum vinci_status vinci_cann_describe(char **text, const struct vinci_cann_places *cann,
                                                struct vinci_error *err);

/* What an Ascend 910B3 could do at best in a decode step of n_seqs sequences with n_ctx positions
 * each: an estimate from bytes, operations and launches, no measurement (docs/ascend.md). */
struct vinci_npu_estimate {
    uint64_t weight_bytes; /* that the weights take on the device */
    double step_bytes, step_operations;
    bool fused_attention; /* what `attention` comes to; its updates are not counted */
    uint32_t n_operators;
    double memory_peak, matrix_peak; /* bytes/s, operations/s: as quoted publicly */
    double launch_seconds;           /* between two operators of a recorded step: assumed */
    double memory_seconds, matrix_seconds, gap_seconds; /* of the step */
    double tokens_per_second;                           /* of all sequences together */
};
VINCI_API enum vinci_status vinci_npu_estimate(struct vinci_npu_estimate *out, const char *path,
                                               enum vinci_npu_dtype dtype,
                                               enum vinci_npu_attention attention, uint32_t n_seqs,
                                               uint32_t n_ctx, struct vinci_error *err);

/* ---- checking a device -------------------------------------------------------------------- */

struct vinci_check; /* a device, opened to be checked */

/* device NULL or "cpu"; "npu:0", and `cann` (may be NULL) as for an engine. n_threads of a CPU, 0:
 * one a core. */
VINCI_API enum vinci_status vinci_check_open(struct vinci_check **out, const char *device,
                                             const struct vinci_cann_places *cann,
                                             uint32_t n_threads, struct vinci_error *err);
VINCI_API void vinci_check_close(struct vinci_check *check);

/* One step of training of a network 128-256-256-10 (ReLU, dropout 0.1 after each hidden layer,
 * softmax cross-entropy) on a batch of 32 random inputs. Its gradients are compared with central
 * differences of the same loss, computed on the host in double precision. */
struct vinci_check_network {
    uint32_t n_layers, sizes[4], n_batch, n_params;
    double output_min, output_max;
    double loss;              /* ln 10 = 2.30 for a network that knows nothing */
    double reference_loss;    /* the host's, in double precision */
    double mean_abs_gradient; /* over all parameters */
    uint32_t n_compared;      /* parameters whose derivative was measured */
    double gradient_error;    /* the largest difference, relative to the largest derivative */
    double gradient_tolerance;
    double cpu_error; /* of an NPU: the largest difference of any parameter's derivative from this
                         machine's CPU, relative to the largest; 0 of a CPU */
    bool gradients_agree;
    double forward_seconds, backward_seconds;
};
VINCI_API enum vinci_status vinci_check_network(struct vinci_check *check, uint64_t seed,
                                                struct vinci_check_network *out,
                                                struct vinci_error *err);

enum vinci_check_type {
    VINCI_CHECK_F32,
    VINCI_CHECK_F16,
    VINCI_CHECK_BF16,
    VINCI_CHECK_INT8,
    VINCI_CHECK_TYPES
};

/* `repeat` products of two n x n matrices (n a multiple of 32) after one that is not counted. A CPU
 * has the right operand in the type and the left in float, as a model's weights and activations; in
 * int8 both, with a scale a block of 32. An NPU has both in the type, in int8 with one scale each,
 * and results in the type (bf16 of int8). */
struct vinci_check_product {
    uint32_t n, repeat;
    double seconds;               /* all of them */
    double min_seconds;           /* the quickest */
    double operations_per_second; /* of the median; a multiply-add is two */
    double published_peak;        /* operations/s of this device's data sheet, 0 if there is none */
    double error;                 /* largest difference from products in double precision of a few
                                     rows, relative to their largest element */
    bool agrees;                  /* the error is within what the type's rounding explains */
};

/* UNSUPPORTED where the device does not multiply in the type. */
VINCI_API enum vinci_status vinci_check_product(struct vinci_check *check,
                                                enum vinci_check_type type, uint32_t n,
                                                uint32_t repeat, struct vinci_check_product *out,
                                                struct vinci_error *err);

/* Bytes per second, medians of `repeat`; n_bytes of memory are moved each time. */
struct vinci_check_bandwidth {
    uint64_t n_bytes;
    double copy; /* within the device's memory, bytes read and written both counted */
    double to_device, from_device;
    double published_copy; /* of the data sheet's memory bandwidth, 0 if there is none */
};
VINCI_API enum vinci_status vinci_check_bandwidth(struct vinci_check *check, uint64_t n_bytes,
                                                  uint32_t repeat,
                                                  struct vinci_check_bandwidth *out,
                                                  struct vinci_error *err);

/* Which of several equal largest numbers of a row the device's own search for the largest gives. A
 * greedy step of an NPU uses it; the host takes the first, and CANN's documents do not say. Rows as
 * wide as gpt-oss's vocabulary, in BF16, with the equal ones near to each other and far apart. */
struct vinci_check_ties {
    uint32_t n_rows, n_cols;
    uint32_t n_first, n_last, n_between; /* rows in which it gave the first, the last, another */
    uint32_t n_wrong;                    /* rows in which it gave none of the largest */
};
/* UNSUPPORTED where the device has no such operation. */
VINCI_API enum vinci_status vinci_check_ties(struct vinci_check *check,
                                             struct vinci_check_ties *out, struct vinci_error *err);

/* ---- synthetic checkpoints ---------------------------------------------------------------- */

enum vinci_synth_format { VINCI_SYNTH_SAFETENSORS, VINCI_SYNTH_GGUF };

struct vinci_synth_options {
    const char *shape; /* "tiny", "20b", "120b", or the path of a config.json */
    const char *out;   /* folder (safetensors) or file (GGUF); must not exist */
    enum vinci_synth_format format;
    const char *gguf_dense; /* dtype of GGUF matrices outside the experts: "q8_0" (default), "bf16",
                               "f16", "f32" */
    uint32_t n_layers;      /* 0: the shape's own */
    uint64_t shard_bytes;   /* safetensors: start another shard beyond this; 0: one file */
    uint64_t seed;
    const char
        *tokenizer; /* file or folder copied into (or embedded in) the checkpoint; may be NULL */
    vinci_progress_fn *progress; /* may be NULL */
    void *user;
};

VINCI_API void vinci_synth_options_init(struct vinci_synth_options *options);

/* Writes a checkpoint of random weights with sane statistics: the same bytes for the same options.
 * Nothing is left under `out` on failure. */
VINCI_API enum vinci_status vinci_synth(const struct vinci_synth_options *options,
                                        struct vinci_error *err);

/* ---- harmony: conversations --------------------------------------------------------------- */

/* Text with its length, as it may hold NUL. `data` NULL means absent, which is not empty text. */
struct vinci_text {
    const char *data;
    size_t size;
};

/* Of a NUL-terminated string; NULL gives absent. */
VINCI_API struct vinci_text vinci_text_of(const char *string);

enum vinci_role {
    VINCI_ROLE_NONE,
    VINCI_ROLE_SYSTEM,
    VINCI_ROLE_DEVELOPER,
    VINCI_ROLE_USER,
    VINCI_ROLE_ASSISTANT,
    VINCI_ROLE_TOOL
};

/* "assistant"; "" for VINCI_ROLE_NONE. */
VINCI_API const char *vinci_role_name(enum vinci_role role);

/* One message: <|start|>role:name to=recipient<|channel|>channel content_type<|message|>content.
 * A tool's answer has the role TOOL and the tool's name ("functions.f"). Absent parts are left
 * out. */
struct vinci_message {
    enum vinci_role role;
    struct vinci_text name, channel, recipient, content_type;
    struct vinci_text content;
};

/* True for an assistant's message that calls a tool, on whatever channel: one with a recipient
 * other than "all", "user" and "assistant". */
VINCI_API bool vinci_message_is_call(const struct vinci_message *message);

enum vinci_effort { VINCI_EFFORT_NONE, VINCI_EFFORT_LOW, VINCI_EFFORT_MEDIUM, VINCI_EFFORT_HIGH };

/* The system message's parts; NULL leaves a part out. */
struct vinci_system_message {
    const char *identity;
    const char *knowledge_cutoff; /* "2024-06" */
    const char *current_date;     /* "2025-06-28" */
    enum vinci_effort effort;
    bool browser, python;        /* the built-in tools */
    const char *const *channels; /* valid channels, n_channels of them */
    size_t n_channels;
    bool channel_required;
};

/* The published defaults: ChatGPT's identity, cutoff 2024-06, medium effort, no date, no tools, the
 * channels analysis, commentary and final, one of them required. */
VINCI_API void vinci_system_message_init(struct vinci_system_message *system);

/* The developer message's parts; absent leaves a part out. JSON in the forms of OpenAI's API. */
struct vinci_developer_message {
    struct vinci_text instructions;
    struct vinci_text tools; /* array of {"type":"function","function":{"name","description",
                                "parameters"}}, or of the inner objects */
    struct vinci_text response_format; /* {"type":"json_schema","json_schema":{"name",
                                          "description","schema"}}, or the inner object */
};

struct vinci_conversation;

VINCI_API enum vinci_status vinci_conversation_create(struct vinci_conversation **out,
                                                      struct vinci_error *err);

/* From {"messages": [...]} in openai-harmony's form (docs/harmony.md). Everything is checked here:
 * a conversation that exists can be rendered. */
VINCI_API enum vinci_status vinci_conversation_from_json(struct vinci_conversation **out,
                                                         const char *json, size_t n_bytes,
                                                         struct vinci_error *err);

/* The same form; *json is NUL-terminated, free with vinci_free. Reading it again gives a
 * conversation that renders to the same tokens. */
VINCI_API enum vinci_status vinci_conversation_to_json(const struct vinci_conversation *c,
                                                       char **json, size_t *n_bytes,
                                                       struct vinci_error *err);
VINCI_API void vinci_conversation_close(struct vinci_conversation *conversation);

VINCI_API size_t vinci_conversation_n_messages(const struct vinci_conversation *conversation);

/* Message i < n_messages; texts are borrowed until the conversation changes. `content` is absent
 * where the message does not consist of exactly one text. */
VINCI_API struct vinci_message vinci_conversation_message(
    const struct vinci_conversation *conversation, size_t i);

/* Keeps the first n messages. */
VINCI_API void vinci_conversation_truncate(struct vinci_conversation *conversation, size_t n);

/* Appends a copy; a parser's message may be given as it is. Ill-formed UTF-8 is replaced. On
 * failure the conversation is as before; so too for the next two. */
VINCI_API enum vinci_status vinci_conversation_add(struct vinci_conversation *conversation,
                                                   const struct vinci_message *message,
                                                   struct vinci_error *err);

/* Puts the system message in front, in place of one that stands there. */
VINCI_API enum vinci_status vinci_conversation_set_system(struct vinci_conversation *conversation,
                                                          const struct vinci_system_message *system,
                                                          struct vinci_error *err);

/* Puts the developer message in front, behind a system message, in place of one that stands
 * there; NULL removes it. */
VINCI_API enum vinci_status vinci_conversation_set_developer(
    struct vinci_conversation *conversation, const struct vinci_developer_message *developer,
    struct vinci_error *err);

/* ---- harmony: rendering ------------------------------------------------------------------- */

enum vinci_render_kind {
    VINCI_RENDER_COMPLETION,   /* <|start|> and the next role are appended */
    VINCI_RENDER_CONVERSATION, /* nothing is appended */
    VINCI_RENDER_TRAINING      /* a last message on channel final ends in <|return|> */
};

struct vinci_render_options {
    enum vinci_render_kind kind;
    enum vinci_role next_role; /* for a completion */
    bool keep_analysis;        /* false: analysis before the first final is dropped, if the last
                                  assistant message is a final */
};

/* A completion by the assistant, old analysis dropped. */
VINCI_API void vinci_render_options_init(struct vinci_render_options *options);

/* Token for token what openai-harmony gives; *ids is freed with vinci_free. No text in any field
 * becomes a control token; only a content type may begin with <|constrain|>. */
VINCI_API enum vinci_status vinci_conversation_render(const struct vinci_conversation *conversation,
                                                      const struct vinci_tokenizer *tokenizer,
                                                      const struct vinci_render_options *options,
                                                      int32_t **ids, size_t *n_ids,
                                                      struct vinci_error *err);

#define VINCI_HARMONY_STOP_TOKENS_MAX 3

/* Where generation stops: <|return|>, <|call|> and, if the tokenizer has it, <|endoftext|>. After
 * <|end|> it goes on. Writes them to `ids` (room for VINCI_HARMONY_STOP_TOKENS_MAX). */
VINCI_API enum vinci_status vinci_harmony_stop_tokens(const struct vinci_tokenizer *tokenizer,
                                                      int32_t *ids, size_t *n_ids,
                                                      struct vinci_error *err);

/* ---- harmony: parsing --------------------------------------------------------------------- */

/* What ended a message. */
enum vinci_message_end {
    VINCI_END_CUT,   /* no end marker: the tokens ended, or another message began */
    VINCI_END_END,   /* <|end|> */
    VINCI_END_CALL,  /* <|call|> */
    VINCI_END_RETURN /* <|return|> or <|endoftext|> */
};

enum vinci_harmony_event_kind {
    VINCI_HARMONY_MESSAGE_START, /* role and name are known */
    VINCI_HARMONY_CHANNEL,       /* `text` is the channel; not sent where there is none */
    VINCI_HARMONY_RECIPIENT,     /* `text` is the recipient; not sent where there is none */
    VINCI_HARMONY_CONTENT,       /* `text` is what is new: well-formed UTF-8, not empty */
    VINCI_HARMONY_MESSAGE_END    /* `message` is whole: its content is that of all deltas joined */
};

struct vinci_harmony_event {
    enum vinci_harmony_event_kind kind;
    struct vinci_text text;
    const struct vinci_message *message; /* as far as it is known */
    enum vinci_message_end end;
};

/* Called from within push and finish; what it is given is borrowed for the call. */
typedef void vinci_harmony_event_fn(void *user, const struct vinci_harmony_event *event);

struct vinci_harmony_parser_options {
    const struct vinci_tokenizer *tokenizer; /* must outlive the parser */
    enum vinci_role role; /* whose turn was begun by the prompt; NONE: the ids begin with
                             <|start|> */
    bool strict;          /* refuse what openai-harmony refuses; else never fail on tokens */
    vinci_harmony_event_fn *on_event; /* may be NULL */
    void *user;
};

/* Lenient, for a completion by the assistant. */
VINCI_API void vinci_harmony_parser_options_init(struct vinci_harmony_parser_options *options);

struct vinci_harmony_parser;

VINCI_API enum vinci_status vinci_harmony_parser_open(
    struct vinci_harmony_parser **out, const struct vinci_harmony_parser_options *options,
    struct vinci_error *err);
VINCI_API void vinci_harmony_parser_close(struct vinci_harmony_parser *parser);

/* Takes the next token; any id will do. Fails with FAILED in strict mode, on what docs/harmony.md
 * lists, and with NO_MEMORY; the messages completed before stay, every further call fails too. */
VINCI_API enum vinci_status vinci_harmony_parser_push(struct vinci_harmony_parser *parser,
                                                      int32_t id, struct vinci_error *err);

/* The tokens have ended: a message that is not complete is kept as it is. */
VINCI_API enum vinci_status vinci_harmony_parser_finish(struct vinci_harmony_parser *parser,
                                                        struct vinci_error *err);

/* The messages completed so far; borrowed until the next call. */
VINCI_API const struct vinci_message *vinci_harmony_parser_messages(
    const struct vinci_harmony_parser *parser, size_t *n);

/* The message whose content is being read, NULL between messages and in a header; borrowed until
 * the next call. */
VINCI_API const struct vinci_message *vinci_harmony_parser_current(
    const struct vinci_harmony_parser *parser);

#ifdef __cplusplus
}
#endif
#endif
