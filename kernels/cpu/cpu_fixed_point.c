/* Floats to integers of a fixed unit, exactly, and back.
 *
 * y = value · 2^f is exact in double. Adding 1.5 · 2^52 to a double below 2^51 rounds it to nearest
 * even and leaves the integer in the low bits. For the whole range below 2^62 y is cut in two
 * first: high = y rounded to a multiple of 2^32 (by adding 1.5 · 2^84), low = y - high, exact and
 * at most 2^31. Parity of the rounding is kept, as high is even. */
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

bool OPERATION(fixed_point_add)(int64_t *sums, const float *values, int fraction_bits,
                                int limit_bits, int64_t count)
{
    uint32_t bits = largest_bits(values, count);
    if (bits >= 0x7f800000U) {
        return false;
    }
    float largest;
    memcpy(&largest, &bits, sizeof largest);
    if (!((double)largest < ldexp(1.0, limit_bits))) {
        return false;
    }
    const double unit = ldexp(1.0, fraction_bits);
    uint64_t *const totals = (uint64_t *)sums; /* two's complement addition */
    if ((double)largest * unit < 0x1p51) {
        SIMD
        for (int64_t i = 0; i < count; i++) {
            totals[i] += round_small((double)values[i] * unit);
        }
    } else {
        SIMD
        for (int64_t i = 0; i < count; i++) {
            totals[i] += round_large((double)values[i] * unit);
        }
    }
    return true;
}

void OPERATION(fixed_point_value)(float *values, const int64_t *sums, int fraction_bits,
                                  int64_t count)
{
    const float unit = ldexpf(1.0F, -fraction_bits);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)sums[i] * unit;
    }
}
