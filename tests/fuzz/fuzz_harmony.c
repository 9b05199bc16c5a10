/* fuzz_harmony.c - any sequence of tokens, given to the strict and the lenient parser: neither may
 * crash, hang or leak, the lenient one must not fail, and no content may lose or invent a byte
 * (tests/harmony_case.h says what is checked). The first byte chooses the role. */
#include "harmony_case.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    enum vinci_role role = data[0] & 1 ? VINCI_ROLE_ASSISTANT : VINCI_ROLE_NONE;
    struct ids ids = ids_of_bytes(data + 1, size - 1);
    for (int strict = 0; strict < 2; strict++) {
        const char *wrong = harmony_check(ids.ids, ids.n, role, strict, NULL);
        if (!wrong) continue;
        fprintf(stderr, "%s: %s\n", strict ? "strict" : "lenient", wrong);
        abort();
    }
    ids_free(&ids);
    return 0;
}
