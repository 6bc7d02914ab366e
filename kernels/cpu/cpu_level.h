/* What every file of cpu/ needs: the names of its level and the 16 lanes of sums over columns.
 *
 * A function here is written OPERATION(name) and compiled once per vector level, KERNELS_LEVEL
 * being avx2 or avx512. Loops over elements are plain C that the compiler makes vector code of
 * ("omp simd": the elements are independent, also where output and input are the same array); bits
 * cannot depend on how, since contraction is off and each element's arithmetic is fixed. Sums use
 * `struct lanes`: the same lanes on every level. */
#ifndef SHARDLM_KERNELS_CPU_LEVEL_H
#define SHARDLM_KERNELS_CPU_LEVEL_H

#include <immintrin.h>
#include <string.h>

#include "kernels/operations.h"

#define CPU_JOIN_NOW(name, level) name##_##level
#define CPU_JOIN(name, level)     CPU_JOIN_NOW(name, level)
#define OPERATION(name)           CPU_JOIN(name, KERNELS_LEVEL)

#define SIMD _Pragma("omp simd")

typedef float half_lanes __attribute__((vector_size(32)));

/* Lanes 0 to 7 and 8 to 15. */
struct lanes {
    half_lanes low;
    half_lanes high;
};

static inline struct lanes lanes_zero(void)
{
    return (struct lanes){{0}, {0}};
}

static inline struct lanes lanes_load(const float *values)
{
    struct lanes lanes;
    memcpy(&lanes.low, values, sizeof lanes.low);
    memcpy(&lanes.high, values + KERNELS_LANES / 2, sizeof lanes.high);
    return lanes;
}

/* The `count` < 16 values, then zeros: adding a zero to a lane that started from one changes no bit
 * of it. */
static inline struct lanes lanes_load_part(const float *values, int64_t count)
{
    float padded[KERNELS_LANES] = {0};
    memcpy(padded, values, (size_t)count * sizeof *values);
    return lanes_load(padded);
}

static inline struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){a.low + b.low, a.high + b.high};
}

static inline struct lanes lanes_multiply(struct lanes a, struct lanes b)
{
    return (struct lanes){a.low * b.low, a.high * b.high};
}

static inline struct lanes lanes_subtract_value(struct lanes a, float value)
{
    return (struct lanes){a.low - value, a.high - value};
}

static inline struct lanes lanes_multiply_value(struct lanes a, float value)
{
    return (struct lanes){a.low * value, a.high * value};
}

/* Pairwise: i with i + 8, + 4, + 2, + 1. */
static inline float lanes_total(struct lanes lanes)
{
    const half_lanes eight = lanes.low + lanes.high;
    float four[4];
    for (int i = 0; i < 4; i++) {
        four[i] = eight[i] + eight[i + 4];
    }
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Σ values. */
static inline float lanes_sum(const float *values, int64_t count)
{
    struct lanes sum = lanes_zero();
    int64_t j = 0;
    for (; j + KERNELS_LANES <= count; j += KERNELS_LANES) {
        sum = lanes_add(sum, lanes_load(values + j));
    }
    return lanes_total(lanes_add(sum, lanes_load_part(values + j, count - j)));
}

/* Sums of squares in double, in the same lanes. */
typedef double half_doubles __attribute__((vector_size(64)));

/* A float's square is exact in double: added in one operation or in two, the sum is the same. */
#ifdef __AVX512F__ /* where the compiler would convert halves and join them */
#define doubles_of(values) ((half_doubles)_mm512_cvtps_pd((__m256)(values)))
#define square_added(sum, a) \
    ((half_doubles)_mm512_fmadd_pd((__m512d)(a), (__m512d)(a), (__m512d)(sum)))
#else
#define doubles_of(values)   __builtin_convertvector(values, half_doubles)
#define square_added(sum, a) ((sum) + (a) * (a))
#endif

struct square_sums {
    half_doubles low;
    half_doubles high;
};

static inline void square_sums_add(struct square_sums *sum, struct lanes values)
{
    const half_doubles low = doubles_of(values.low);
    const half_doubles high = doubles_of(values.high);
    sum->low = square_added(sum->low, low);
    sum->high = square_added(sum->high, high);
}

static inline double square_sums_total(const struct square_sums *sum)
{
    const half_doubles eight = sum->low + sum->high;
    double four[4];
    for (int i = 0; i < 4; i++) {
        four[i] = eight[i] + eight[i + 4];
    }
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* The largest value; NaN is passed over. In any order, since the result is the same. */
static inline float lanes_max(const float *values, int64_t count)
{
    float most[KERNELS_LANES];
    for (int l = 0; l < KERNELS_LANES; l++) {
        most[l] = -__builtin_inff();
    }
    int64_t j = 0;
    for (; j + KERNELS_LANES <= count; j += KERNELS_LANES) {
        SIMD
        for (int l = 0; l < KERNELS_LANES; l++) {
            most[l] = values[j + l] > most[l] ? values[j + l] : most[l];
        }
    }
    for (int l = 0; j < count; j++, l++) {
        most[l] = values[j] > most[l] ? values[j] : most[l];
    }
    float best = most[0];
    for (int l = 1; l < KERNELS_LANES; l++) {
        best = most[l] > best ? most[l] : best;
    }
    return best;
}

/* Asks for what a stream reads half a page from here, into the second-level cache: the processor's own
 * requests stop where a page ends, and those into the first level wait for each other. */
static inline void stream_prefetch(const float *at)
{
    enum { AHEAD = 512 };
    __builtin_prefetch(at + AHEAD, 0, 2);
}

#endif
