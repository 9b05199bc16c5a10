/* expand_simd.c - MXFP4 expanded 16 codes at a time: a table of 16 bytes is one vector, and looking
 * 16 codes up in it one instruction, on aarch64 (TBL, always there) and x86 (PSHUFB of SSSE3).
 *
 * The two sets differ in the six operations at the top alone. */
#include "device/npu/expand.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#define SIMD
#define ISA "neon"
typedef uint8x16_t bytes;
#define LOAD(p) vld1q_u8(p)
#define STORE(p, x) vst1q_u8(p, x)
#define LOW(x) vandq_u8(x, vdupq_n_u8(15))
#define HIGH(x) vshrq_n_u8(x, 4)
#define UP(x) vshlq_n_u8(x, 4)
#define OR(x, y) vorrq_u8(x, y)
#define ZIP1(x, y) vzip1q_u8(x, y)
#define ZIP2(x, y) vzip2q_u8(x, y)
#define LOOK_UP(table, x) vqtbl1q_u8(table, x)
#elif defined(__x86_64__)
#include <tmmintrin.h>
#define SIMD __attribute__((target("ssse3")))
#define ISA "ssse3"
typedef __m128i bytes;
#define LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define STORE(p, x) _mm_storeu_si128((__m128i *)(p), x)
#define LOW(x) _mm_and_si128(x, _mm_set1_epi8(15))
#define HIGH(x) LOW(_mm_srli_epi16(x, 4))
#define UP(x) _mm_slli_epi16(x, 4) /* of bytes below 16 */
#define OR(x, y) _mm_or_si128(x, y)
#define ZIP1(x, y) _mm_unpacklo_epi8(x, y)
#define ZIP2(x, y) _mm_unpackhi_epi8(x, y)
#define LOOK_UP(table, x) _mm_shuffle_epi8(table, x)
#endif

#ifdef ISA
enum { N = 16 };

SIMD static inline void put_codes(bytes low, bytes high, bytes codes, uint8_t *out)
{
    bytes x = LOOK_UP(low, codes), y = LOOK_UP(high, codes);
    STORE(out, ZIP1(x, y));
    STORE(out + 16, ZIP2(x, y));
}

SIMD static void row(const struct expand_tables *tables, const struct matrix *w, size_t row,
                     void *out)
{
    bool gguf = w->dtype == DTYPE_MXFP4_GGUF;
    uint8_t *to = out;
    for (size_t b = 0; b < w->n_cols / QUANT_BLOCK; b++, to += 2 * QUANT_BLOCK) {
        const bytes packed = LOAD(expand_nibbles(w, row, b));
        const uint8_t scale = expand_scale(w, row, b);
        bytes low = LOAD(tables->of[scale].low), high = LOAD(tables->of[scale].high);
        bytes first = LOW(packed), second = HIGH(packed);
        put_codes(low, high, gguf ? first : ZIP1(first, second), to);
        put_codes(low, high, gguf ? second : ZIP2(first, second), to + 32);
    }
}

/* 16 x 16 bytes. A round moves the highest bit of the element's number to the lowest place; after
 * four of the eight, row and column have changed places. */
SIMD static inline void transpose(bytes x[N])
{
    bytes y[N];
    for (int i = 0; i < N / 2; i++)
        y[2 * i] = ZIP1(x[i], x[i + 8]), y[2 * i + 1] = ZIP2(x[i], x[i + 8]);
    for (int i = 0; i < N / 2; i++)
        x[2 * i] = ZIP1(y[i], y[i + 8]), x[2 * i + 1] = ZIP2(y[i], y[i + 8]);
    for (int i = 0; i < N / 2; i++)
        y[2 * i] = ZIP1(x[i], x[i + 8]), y[2 * i + 1] = ZIP2(x[i], x[i + 8]);
    for (int i = 0; i < N / 2; i++)
        x[2 * i] = ZIP1(y[i], y[i + 8]), x[2 * i + 1] = ZIP2(y[i], y[i + 8]);
}

SIMD static void tile(const uint8_t map[16], enum dtype layout,
                      const uint8_t *const blocks[EXPAND_TILE], uint8_t *out, size_t stride)
{
    bool gguf = layout == DTYPE_MXFP4_GGUF;
    const bytes table = LOAD(map), table_up = UP(table);
    bytes even[N], odd[N];
    for (int i = 0; i < N; i++) {
        even[i] = LOAD(blocks[2 * i]);
        odd[i] = LOAD(blocks[2 * i + 1]);
    }
    transpose(even);
    transpose(odd);
    for (int j = 0; j < N; j++) {
        uint8_t *first = out + (size_t)(gguf ? j : 2 * j) * stride;
        uint8_t *second = first + (gguf ? 16 : 1) * stride;
        STORE(first, OR(LOOK_UP(table, LOW(even[j])), LOOK_UP(table_up, LOW(odd[j]))));
        STORE(second, OR(LOOK_UP(table, HIGH(even[j])), LOOK_UP(table_up, HIGH(odd[j]))));
    }
}

static const struct expand_kernels expand_simd = {ISA, row, tile};
#endif

const struct expand_kernels *expand_kernels(void)
{
#if defined(__aarch64__)
    return &expand_simd;
#elif defined(__x86_64__)
    return __builtin_cpu_supports("ssse3") ? &expand_simd : &expand_scalar;
#else
    return &expand_scalar;
#endif
}
