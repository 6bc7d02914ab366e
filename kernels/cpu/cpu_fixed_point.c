/* Floats to integers of a fixed unit, exactly, and back.
 *
 * y = value · 2^f is exact in double. Adding 1.5 · 2^52 to a double below 2^51 rounds it to nearest
 * even and leaves the integer in the low bits. For the whole range below 2^62 y is cut in two
 * first: high = y rounded to a multiple of 2^32 (by adding 1.5 · 2^84), low = y - high, exact and
 * at most 2^31. Parity of the rounding is kept, as high is even. */
#include <immintrin.h>
#include <math.h>

#include "kernels/cpu/cpu_level.h"

static inline uint64_t double_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline uint64_t round_small(double y)
{
    return double_bits(y + 0x1.8p52) - double_bits(0x1.8p52);
}

static inline uint64_t round_large(double y)
{
    const double shifted = y + 0x1.8p84;
    const double high = shifted - 0x1.8p84;
    return ((double_bits(shifted) - double_bits(0x1.8p84)) << 32) + round_small(y - high);
}

/* |value| as bits; infinities and NaN are above every finite number. */
static inline uint32_t size_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffffU;
}

/* The largest |value| as bits. */
static uint32_t largest_bits(const float *values, int64_t count)
{
    uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++) {
        const uint32_t bits = size_bits(values[i]);
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* How an element becomes an integer. */
enum way { WAY_NONE, WAY_SMALL, WAY_LARGE };

static enum way way_of(const float *values, double unit, int limit_bits, int64_t count)
{
    const uint32_t bits = largest_bits(values, count);
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (bits >= 0x7f800000U || !((double)largest < ldexp(1.0, limit_bits))) {
        return WAY_NONE;
    }
    return (double)largest * unit < 0x1p51 ? WAY_SMALL : WAY_LARGE;
}

bool OPERATION(fixed_point_add)(int64_t *sums, const float *values, int fraction_bits,
                                int limit_bits, int64_t count)
{
    const double unit = ldexp(1.0, fraction_bits);
    const enum way way = way_of(values, unit, limit_bits, count);
    uint64_t *const totals = (uint64_t *)sums; /* two's complement addition */
    if (way == WAY_SMALL) {
        SIMD
        for (int64_t i = 0; i < count; i++) {
            totals[i] += round_small((double)values[i] * unit);
        }
    } else if (way == WAY_LARGE) {
        SIMD
        for (int64_t i = 0; i < count; i++) {
            totals[i] += round_large((double)values[i] * unit);
        }
    }
    return way != WAY_NONE;
}

/* Eight sums: a line of the cache. */
enum { LINE_SUMS = KERNELS_LANES / 2 };
typedef uint64_t line_sums __attribute__((vector_size(64)));
typedef uint32_t line_bits __attribute__((vector_size(64)));

/* Past the caches: the sums of a large model leave them long before they are read again, and a line
 * that is written as a whole need not be read first. */
static inline void line_stream(uint64_t *out, const line_sums *line)
{
#ifdef __AVX512F__
    _mm512_stream_si512((void *)out, (__m512i)*line);
#else
    __m256i halves[2];
    memcpy(halves, line, sizeof halves);
    _mm256_stream_si256((void *)out, halves[0]);
    _mm256_stream_si256((void *)(out + 4), halves[1]);
#endif
}

bool OPERATION(fixed_point_set)(int64_t *sums, const float *values, int fraction_bits,
                                int limit_bits, int64_t count)
{
    const double unit = ldexp(1.0, fraction_bits);
    const enum way way = way_of(values, unit, limit_bits, count);
    uint64_t *const totals = (uint64_t *)sums;
    int64_t i = 0;
    if (way == WAY_NONE) {
        return false;
    }
    if (way == WAY_SMALL && (uintptr_t)sums % 64 == 0) {
        for (; i + LINE_SUMS <= count; i += LINE_SUMS) {
            half_lanes floats;
            memcpy(&floats, values + i, sizeof floats);
            const half_doubles shifted = doubles_of(floats) * unit + 0x1.8p52; /* round_small */
            const line_sums line = (line_sums)shifted - double_bits(0x1.8p52);
            line_stream(totals + i, &line);
        }
        _mm_sfence(); /* before the caller says that they stand there */
    }
    SIMD
    for (int64_t j = i; j < count; j++) {
        totals[j] = round_large((double)values[j] * unit);
    }
    return true;
}

/* The only value of a sum as it comes back, without leaving floats: below `whole` = 2^(23 - f) it
 * is rounded to a multiple of 2^-f, as its sum with `whole` has no bits below that; from there on
 * each float is one. */
static inline float value_rounded(float value, float whole)
{
    const float shift = copysignf(whole, value);
    return fabsf(value) < whole ? (value + shift) - shift : value;
}

/* Values that are the only ones of their sums; past the caches where the gradient's lines are
 * whole. Each is read once: whether all fit is known at the end. */
static bool values_finish(float *gradient, double *squares, const float *values, int fraction_bits,
                          int limit_bits, int64_t count)
{
    const float whole = ldexpf(1.0F, 23 - fraction_bits);
    const int64_t streamed = (uintptr_t)gradient % 64 == 0 ? count / KERNELS_LANES : 0;
    const int64_t rest = streamed * KERNELS_LANES;
    struct square_sums sum = {{0}, {0}};
    const uint32_t limit = size_bits(limit_bits < 128 ? ldexpf(1.0F, limit_bits) : INFINITY);
    line_bits outside = {0};
    for (int64_t i = 0; i < rest; i += KERNELS_LANES) {
        float line[KERNELS_LANES];
        line_bits bits;
        memcpy(&bits, values + i, sizeof bits);
        outside |= (line_bits)((bits & 0x7fffffffU) >= limit);
        SIMD
        for (int l = 0; l < KERNELS_LANES; l++) {
            line[l] = value_rounded(values[i + l], whole);
        }
        const struct lanes lanes = lanes_load(line);
        _mm256_stream_ps(gradient + i, (__m256)lanes.low);
        _mm256_stream_ps(gradient + i + LINE_SUMS, (__m256)lanes.high);
        square_sums_add(&sum, lanes);
    }
    _mm_sfence(); /* before the caller says that it stands there */
    bool fits = largest_bits(values + rest, count - rest) < limit;
    for (int l = 0; l < KERNELS_LANES; l++) {
        fits = fits && outside[l] == 0;
    }
    for (int64_t i = rest; i < count; i += KERNELS_LANES) {
        const int64_t part = count - i < KERNELS_LANES ? count - i : KERNELS_LANES;
        SIMD
        for (int64_t l = i; l < i + part; l++) {
            gradient[l] = value_rounded(values[l], whole);
        }
        square_sums_add(&sum, lanes_load_part(gradient + i, part));
    }
    *squares = square_sums_total(&sum);
    return fits;
}

/* `count` <= KERNELS_LANES sums with what is added to them, as floats. All are read before one is
 * written. */
static inline __attribute__((always_inline)) void lanes_finish(float *gradient, const int64_t *sums,
                                                               const float *values, double unit,
                                                               float fraction, int64_t count)
{
    uint64_t totals[KERNELS_LANES] = {0};
    if (sums != NULL) {
        memcpy(totals, sums, (size_t)count * sizeof *totals);
    }
    if (values != NULL) {
        SIMD
        for (int64_t l = 0; l < count; l++) {
            totals[l] += round_large((double)values[l] * unit);
        }
    }
    SIMD
    for (int64_t l = 0; l < count; l++) {
        gradient[l] = (float)(int64_t)totals[l] * fraction;
    }
}

/* Sums and what is added to them. */
static void sums_finish(float *gradient, double *squares, const int64_t *sums, const float *values,
                        int fraction_bits, int64_t count)
{
    const double unit = ldexp(1.0, fraction_bits);
    const float fraction = ldexpf(1.0F, -fraction_bits);
    struct square_sums sum = {{0}, {0}};
    int64_t i = 0;
    for (; i + KERNELS_LANES <= count; i += KERNELS_LANES) {
        lanes_finish(gradient + i, sums != NULL ? sums + i : NULL,
                     values != NULL ? values + i : NULL, unit, fraction, KERNELS_LANES);
        square_sums_add(&sum, lanes_load(gradient + i));
    }
    lanes_finish(gradient + i, sums != NULL ? sums + i : NULL, values != NULL ? values + i : NULL,
                 unit, fraction, count - i);
    square_sums_add(&sum, lanes_load_part(gradient + i, count - i));
    *squares = square_sums_total(&sum);
}

bool OPERATION(fixed_point_finish)(float *gradient, double *squares, const int64_t *sums,
                                   const float *values, int fraction_bits, int limit_bits,
                                   int64_t count)
{
    if (sums == NULL && values != NULL) {
        return values_finish(gradient, squares, values, fraction_bits, limit_bits, count);
    }
    if (values != NULL && way_of(values, 1.0, limit_bits, count) == WAY_NONE) {
        return false;
    }
    sums_finish(gradient, squares, sums, values, fraction_bits, count);
    return true;
}
