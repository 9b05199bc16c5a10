/* fuzz_model.c - libFuzzer: any bytes as a model's files must be refused or bound, never more.
 *
 * Input that begins with GGUF's magic number is a GGUF file; else it is a config.json up to the
 * first NUL and a safetensors file after it (tests/vectors/bad/good has one of each to start from:
 * `(cat config.json; printf '\0'; cat model.safetensors) > seed`). */
#include "memory_model.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct vinci_error err;
    if (n >= 4 && memcmp(data, "GGUF", 4) == 0) {
        memory_model_try(NULL, 0, data, n, &err);
        return 0;
    }
    const uint8_t *end = memchr(data, 0, n);
    if (end) {
        size_t n_config = (size_t)(end - data);
        memory_model_try((const char *)data, n_config, end + 1, n - n_config - 1, &err);
    }
    return 0;
}
