/* fuzz_request.c - any body of any API, from bytes to the prompt and the rules of the turn: no
 * crash, no leak; a refusal has its status and its sentence. The first byte chooses the API. */
#include "serve/request_case.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vinci_tokenizer *tokenizer;
    struct api_error error;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    if (!tokenizer) tokenizer = request_tokenizer();
    if (!size || !tokenizer) return 0;
    bool ok = request_read((enum request_api)(data[0] % API_COUNT), (const char *)data + 1,
                           size - 1, tokenizer, &ids, &n_ids, &error);
    if (ok ? n_ids == 0 : error.http < 400 || error.http >= 500 || !error.message[0]) {
        fprintf(stderr, "%u: %s\n", error.http, error.message);
        abort();
    }
    vinci_free(ids);
    return 0;
}
