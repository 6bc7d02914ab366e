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

/* The largest |value| as bits; infinities and NaN are above every finite number. */
static uint32_t largest_bits(const float *values, int64_t count)
{
    uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7fffffffU;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* How an element becomes an integer. */
enum way { WAY_NONE, WAY_SMALL, WAY_LARGE };

static enum way way_of(const float *values, double unit, int limit_bits, int64_t count)
{
    const uint32_t bits = largest_bits(values, count);
    if (bits >= 0x7f800000U) {
        return WAY_NONE;
    }
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (!((double)largest < ldexp(1.0, limit_bits))) {
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

void OPERATION(fixed_point_value)(float *values, const int64_t *sums, int fraction_bits,
                                  int64_t count)
{
    const float unit = ldexpf(1.0F, -fraction_bits);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)sums[i] * unit;
    }
}

/* A line of the cache. */
enum { LINE_SUMS = 8 };

/* Past the caches: the sums of a large model leave them long before they are read again, and a line
 * that is written as a whole need not be read first. */
static inline void line_stream(uint64_t *out, const uint64_t line[LINE_SUMS])
{
#ifdef __AVX512F__
    _mm512_stream_si512((void *)out, _mm512_load_si512(line));
#else
    _mm256_stream_si256((void *)out, _mm256_load_si256((const void *)line));
    _mm256_stream_si256((void *)(out + 4), _mm256_load_si256((const void *)(line + 4)));
#endif
}

/* A line's sums, streamed; `back` gets what they are as floats: a sum is an integer below 2^51,
 * which is exact in double. */
static inline void line_set(uint64_t *out, float *back, const float *values, double unit,
                            float fraction)
{
    _Alignas(64) uint64_t line[LINE_SUMS];
    SIMD
    for (int l = 0; l < LINE_SUMS; l++) {
        const double shifted = (double)values[l] * unit + 0x1.8p52;
        line[l] = double_bits(shifted) - double_bits(0x1.8p52);
        back[l] = (float)(shifted - 0x1.8p52) * fraction;
    }
    line_stream(out, line);
}

bool OPERATION(fixed_point_set)(int64_t *sums, float *back, const float *values, int fraction_bits,
                                int limit_bits, int64_t count)
{
    const double unit = ldexp(1.0, fraction_bits);
    const float fraction = ldexpf(1.0F, -fraction_bits);
    const enum way way = way_of(values, unit, limit_bits, count);
    uint64_t *const totals = (uint64_t *)sums;
    if (way == WAY_NONE) {
        return false;
    }
    int64_t i = 0;
    if (way == WAY_SMALL && (uintptr_t)sums % 64 == 0) {
        float unwanted[LINE_SUMS];
        for (; i + LINE_SUMS <= count; i += LINE_SUMS) {
            line_set(totals + i, back == NULL ? unwanted : back + i, values + i, unit, fraction);
        }
        _mm_sfence(); /* before the caller says that they stand there */
    }
    SIMD
    for (int64_t j = i; j < count; j++) {
        totals[j] = round_large((double)values[j] * unit);
    }
    if (back != NULL) {
        OPERATION(fixed_point_value)(back + i, sums + i, fraction_bits, count - i);
    }
    return true;
}
