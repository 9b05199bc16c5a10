/* tokenizer_file.h - what the readers of the three file formats fill in. */
#ifndef VINCI_TEXT_TOKENIZER_FILE_H
#define VINCI_TEXT_TOKENIZER_FILE_H

#include "base/file_map.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/vocab.h"
#include "text/vocab_trie.h"

struct vinci_tokenizer {
    struct vocab vocab;
    struct bpe bpe;
    struct split_pattern *split;
    struct trie_slot *trie; /* for grammars */
};

/* One reader a format. Each leaves a finished vocabulary, finished merges and the split expression
 * in an empty tokenizer; after a failure the tokenizer is only good for vinci_tokenizer_close. The
 * sentence may lack the file's name: tokenizer_load puts it in front. */
enum vinci_status tokenizer_read_json(struct vinci_tokenizer *tokenizer, const struct file_map *map,
                                      struct vinci_error *err);
enum vinci_status tokenizer_read_tiktoken(struct vinci_tokenizer *tokenizer,
                                          const struct file_map *map, struct vinci_error *err);
enum vinci_status tokenizer_read_gguf(struct vinci_tokenizer *tokenizer, const struct file_map *map,
                                      struct vinci_error *err);

/* Reads a mapped file of any of the formats, told apart by how it begins; the mapping is not needed
 * afterwards. */
enum vinci_status tokenizer_load(struct vinci_tokenizer **out, const struct file_map *map,
                                 struct vinci_error *err);

#endif
