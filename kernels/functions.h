/* exp, the normal distribution and log for every level: one scalar definition each, without branches, so that a
 * compiler turns a loop over them into vector code with the same bits. Every fma is written as one.
 * Errors against the exact value, from tests/unit/kernels/test_functions.c over dense ranges:
 *     function_exp     1.1 ulp where the result is normal; below, within one denormal
 *     function_normal  tail 3e-7 relative down to x = -12, density 2e-7 relative
 *     function_log     2 ulp (double) */
#ifndef SHARDLM_KERNELS_FUNCTIONS_H
#define SHARDLM_KERNELS_FUNCTIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t function_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float function_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^x = 2^n · e^r with n = round(x / ln 2), |r| <= ln 2 / 2; e^r by a minimax polynomial of degree 6 (relative error
 * 1.9e-9 before rounding). 2^n in two factors, so that results below the normal range and infinity come out right.
 * NaN gives NaN. */
static inline float function_exp(float x)
{
    const float round = 0x1.8p23f; /* adding it rounds to an integer in the low bits */
    const float high = x > 89.0F ? 89.0F : x;
    const float limited = high < -105.0F ? -105.0F : high;
    const float shifted = __builtin_fmaf(limited, 0x1.715476p+0f, round);
    const float n = shifted - round;
    const float r = __builtin_fmaf(n, -0x1.7f7d1cp-20f, __builtin_fmaf(n, -0x1.62e4p-1f, limited));
    float p = 0x1.6ab968p-10f;
    p = __builtin_fmaf(p, r, 0x1.126d1ep-7f);
    p = __builtin_fmaf(p, r, 0x1.55589ap-5f);
    p = __builtin_fmaf(p, r, 0x1.55540ap-3f);
    p = __builtin_fmaf(p, r, 0x1.fffffap-2f);
    p = __builtin_fmaf(p, r, 1.0F);
    p = __builtin_fmaf(p, r, 1.0F);
    const int32_t power = (int32_t)(function_bits(shifted) - 0x4b400000U);
    const int32_t half = power >> 1;
    return p * function_from_bits(((uint32_t)half + 127U) << 23) *
           function_from_bits(((uint32_t)(power - half) + 127U) << 23);
}

/* Of the standard normal distribution: what lies below x, and the density at x. */
struct function_normal {
    float below;
    float density;
};

/* tail(a) = exp(-a²/2) · P(4 / (4 + a)) for a = |x|, P of degree 9 (relative error 1.7e-8 before rounding); the
 * rounding error of a² is put back, so both tails keep their relative accuracy. */
static inline struct function_normal function_normal(float x)
{
    const float size = fabsf(x);
    const float a = size > 15.0F ? 15.0F : size; /* exp(-112.5) is 0 in float */
    const float square = a * a;
    const float lost = __builtin_fmaf(a, a, -square);
    const float rough = function_exp(-0.5F * square);
    const float bell = __builtin_fmaf(rough, -0.5F * lost, rough);
    const float t = 4.0F / (4.0F + a);
    float p = 0x1.11d2bep-5f;
    p = __builtin_fmaf(p, t, -0x1.8c0a3ap-3f);
    p = __builtin_fmaf(p, t, 0x1.8dd084p-2f);
    p = __builtin_fmaf(p, t, -0x1.4cab34p-2f);
    p = __builtin_fmaf(p, t, 0x1.3088f0p-2f);
    p = __builtin_fmaf(p, t, -0x1.100ab0p-6f);
    p = __builtin_fmaf(p, t, 0x1.ec9cb2p-4f);
    p = __builtin_fmaf(p, t, 0x1.858668p-4f);
    p = __builtin_fmaf(p, t, 0x1.9a6672p-4f);
    p = __builtin_fmaf(p, t, -0x1.4d1c2ap-16f);
    const float tail = bell * p;
    return (struct function_normal){.below = x < 0 ? tail : 1.0F - tail,
                                    .density = bell * 0x1.988454p-2f};
}

/* gelu(x) = x · below(x). */
static inline float function_gelu(float x)
{
    return x * function_normal(x).below;
}

/* gelu'(x) = below(x) + x · density(x). */
static inline float function_gelu_slope(float x)
{
    const struct function_normal normal = function_normal(x);
    return __builtin_fmaf(x, normal.density, normal.below);
}

/* (1 + tanh u) / 2 = 1 / (1 + exp(-2u)) with u = sqrt(2/pi) (x + 0.044715 x³); constant beyond |x| = 20. */
static inline float function_gelu_tanh_gate(float limited)
{
    const float cubic = __builtin_fmaf(limited * limited, 0.044715F, 1.0F) * limited;
    return 1.0F / (1.0F + function_exp(-0x1.988454p+0f * cubic));
}

static inline float function_limited(float x)
{
    const float high = x > 20.0F ? 20.0F : x;
    return high < -20.0F ? -20.0F : high;
}

/* gelu_tanh(x) = x · gate(x). */
static inline float function_gelu_tanh(float x)
{
    return x * function_gelu_tanh_gate(function_limited(x));
}

/* gelu_tanh'(x) = gate + x · gate · (1 - gate) · 2 du/dx. */
static inline float function_gelu_tanh_slope(float x)
{
    const float limited = function_limited(x);
    const float gate = function_gelu_tanh_gate(limited);
    const float slope = 0x1.988454p+0f * __builtin_fmaf(limited * limited, 3.0F * 0.044715F, 1.0F);
    return __builtin_fmaf(limited * slope, gate * (1.0F - gate), gate);
}

/* Natural logarithm of a positive normal number: x = 2^n · m with m in [sqrt(1/2), sqrt(2)), and
 * log m = 2 atanh s, s = (m - 1) / (m + 1), as a series to s^21. Own code, as the last bits of libm's depend on the
 * machine. Infinity and NaN give themselves. */
static inline double function_log(double x)
{
    if (!(x < (double)INFINITY)) {
        return x;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t shifted = bits - 0x3fe6a09e667f3bcdU; /* of sqrt(1/2) */
    const double n = (double)((int64_t)shifted >> 52);
    bits -= (uint64_t)((int64_t)shifted >> 52) << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1.0) / (m + 1.0);
    const double square = s * s;
    double series = 0;
    for (int k = 21; k >= 3; k -= 2) {
        series = (series + 1.0 / k) * square;
    }
    return (n * 0x1.62e42fefa3800p-1 + 2.0 * s) + (n * 0x1.ef35793c76730p-45 + 2.0 * s * series);
}

#endif
