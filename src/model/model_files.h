/* model_files.h - from the path a user gives to the files of a model. */
#ifndef VINCI_MODEL_MODEL_FILES_H
#define VINCI_MODEL_MODEL_FILES_H

#include "base/status.h"

enum model_files_kind {
    MODEL_FILES_SAFETENSORS, /* `weights` is one file */
    MODEL_FILES_SHARDS,      /* `weights` is the index of several */
    MODEL_FILES_GGUF         /* `weights` is the file, or a part of a split one */
};

struct model_files {
    enum model_files_kind kind;
    char *weights;
    char *config;    /* beside the weights; NULL for GGUF */
    char *tokenizer; /* a tokenizer.json or *.tiktoken that is there; or NULL */
};

/* Existence is checked, content is not. Free with model_files_free, which accepts a half-built or
 * zero struct. */
enum vinci_status model_files_find(struct model_files *files, const char *path,
                                   struct vinci_error *err);
void model_files_free(struct model_files *files);

/* True for a folder in which model_files_find finds a model, or several. */
bool model_files_in(const char *folder);

#endif
