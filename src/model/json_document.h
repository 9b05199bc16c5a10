/* json_document.h - a JSON document of a model's folder (config.json, a safetensors header, an
 * index), by jansson. Keys that stand twice are refused: no two readers would agree on such a file.
 */
#ifndef VINCI_MODEL_JSON_DOCUMENT_H
#define VINCI_MODEL_JSON_DOCUMENT_H

#include "base/status.h"

#include <jansson.h>

/* `what` names the text within `path` for the message: "config", "safetensors header". The root is
 * an object; free with json_decref. */
enum vinci_status json_document_parse(json_t **out, const char *text, size_t n_bytes,
                                      const char *path, const char *what, struct vinci_error *err);

#endif
