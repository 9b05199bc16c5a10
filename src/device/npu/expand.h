/* expand.h - MXFP4 blocks as an NPU takes them: 16-bit numbers, or nibbles of INT4 planes.
 *
 * Both are look-ups of a 4-bit code, so a table says all about the numbers: they are what
 * matrix_row and the conversions of formats.h give, and every kernel gives the same bytes. */
#ifndef VINCI_DEVICE_NPU_EXPAND_H
#define VINCI_DEVICE_NPU_EXPAND_H

#include "device/npu/cann.h"
#include "model/weights.h"

enum { EXPAND_TILE = 32 }; /* outputs that make one tile of a plane; as many inputs: a block */

/* For each scale, the lower and the upper bytes of the 16 numbers that a code can mean. */
struct expand_tables {
    struct {
        uint8_t low[16], high[16];
    } of[256];
};

/* ACL_BF16 or ACL_FLOAT16 */
void expand_tables_fill(struct expand_tables *tables, aclDataType dtype);

/* v, a doubled FP4 value, as 2 a + b with a and b in INT4: the code -> a & 15, b & 15. */
void expand_planes(uint8_t a[16], uint8_t b[16]);

struct expand_kernels {
    const char *isa;
    /* Row `row` of an MXFP4 matrix, either layout: n_cols numbers. */
    void (*row)(const struct expand_tables *tables, const struct matrix *w, size_t row, void *out);
    /* The 16 bytes of a block of each of 32 rows, transposed: row j of `out`, 16 bytes, `stride`
     * apart, has element j of all, mapped, the earlier of two in the lower nibble. */
    void (*tile)(const uint8_t map[16], enum dtype layout, const uint8_t *const blocks[EXPAND_TILE],
                 uint8_t *out, size_t stride);
};

extern const struct expand_kernels expand_scalar;

/* The fastest that this machine runs. */
const struct expand_kernels *expand_kernels(void);

/* Where the block's nibbles and its scale lie. */
static inline const uint8_t *expand_nibbles(const struct matrix *w, size_t row, size_t block)
{
    const uint8_t *p = w->data + row * w->row_stride;
    return w->dtype == DTYPE_MXFP4_GGUF ? p + block * 17 + 1 : p + block * 16;
}

static inline uint8_t expand_scale(const struct matrix *w, size_t row, size_t block)
{
    return w->dtype == DTYPE_MXFP4_GGUF ? w->data[row * w->row_stride + block * 17]
                                        : w->scales[row * w->scale_stride + block];
}

#endif
