/* exp, the normal distribution, tanh and log for every level: one scalar definition each, without
 * branches, so that a compiler turns a loop over them into vector code with the same bits. Every
 * fma is written as one. Errors against the exact value, from tests/unit/kernels/test_functions.c
 * over dense ranges:
 * - function_exp 1.1 ulp,
 * - function_normal: both tails 5e-7 relative, the density 3e-7,
 * - function_tanh 2 ulp, its slope 5e-7 relative,
 * - function_log 2 ulp (double), function_exp_double 3 ulp, function_circle 1e-15 absolute. */
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

/* e^x for x <= 88; 0 below x = -87, so that no result is denormal. e^x = 2^n · e^r with n = round(x
 * / ln 2) and |r| <= ln 2 / 2; e^r by a minimax polynomial of degree 6 (relative error 1.9e-9
 * before rounding). NaN gives NaN. */
static inline float function_exp(float x)
{
    const float round = 0x1.8p23f; /* adding it rounds to an integer in the low bits */
    const float shifted = __builtin_fmaf(x, 0x1.715476p+0f, round);
    const float n = shifted - round;
    const float r = __builtin_fmaf(n, -0x1.7f7d1cp-20f, __builtin_fmaf(n, -0x1.62e4p-1f, x));
    float p = 0x1.6ab968p-10f;
    p = __builtin_fmaf(p, r, 0x1.126d1ep-7f);
    p = __builtin_fmaf(p, r, 0x1.55589ap-5f);
    p = __builtin_fmaf(p, r, 0x1.55540ap-3f);
    p = __builtin_fmaf(p, r, 0x1.fffffap-2f);
    p = __builtin_fmaf(p, r, 1.0F);
    p = __builtin_fmaf(p, r, 1.0F);
    const float power = function_from_bits((function_bits(shifted) << 23) + 0x3f800000U);
    return x < -87.0F ? 0.0F : p * power;
}

/* Of the standard normal distribution: what lies below x, and the density at x. */
struct function_normal {
    float below;
    float density;
};

/* tail(a) = exp(-a²/2) · P(4 / (4 + a)) for a = |x|, P of degree 9 (relative error 1.7e-8 before
 * rounding); the rounding error of a² is put back, so both tails keep their relative accuracy. */
static inline struct function_normal function_normal(float x)
{
    const float size = fabsf(x);
    const float a = size > 15.0F ? 15.0F : size; /* the tail is 0 from 13.2 on */
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

/* gate = (1 + tanh u) / 2 with u = sqrt(2/pi) (x + 0.044715 x³), and its derivative. With a = |x|
 * and e = exp(-2 u(a)): gate = 1 / (1 + e) for x >= 0 and e / (1 + e) below, dgate/du = 2 e / (1 +
 * e)². */
struct function_gate {
    float gate;
    float slope;
};

static inline struct function_gate function_gelu_tanh_gate(float x)
{
    const float size = fabsf(x);
    const float a = size > 15.0F ? 15.0F : size; /* e is 0 from 10 on */
    const float inner = __builtin_fmaf(a * a, 0.044715F, 1.0F) * a;
    const float du = 0x1.988454p-1f * __builtin_fmaf(a * a, 3.0F * 0.044715F, 1.0F);
    const float e = function_exp(-0x1.988454p+0f * inner);
    const float share = 1.0F / (1.0F + e);
    return (struct function_gate){.gate = (x < 0 ? e : 1.0F) * share,
                                  .slope = 2.0F * du * (e * share * share)};
}

/* gelu_tanh(x) = x · gate(x). */
static inline float function_gelu_tanh(float x)
{
    return x * function_gelu_tanh_gate(x).gate;
}

/* gelu_tanh'(x) = gate + x · gate'. */
static inline float function_gelu_tanh_slope(float x)
{
    const struct function_gate gate = function_gelu_tanh_gate(x);
    return __builtin_fmaf(x, gate.slope, gate.gate);
}

/* tanh(x) and its derivative. With a = |x| and e = exp(-2 a): (1 - e) / (1 + e), below a = 0.625 by
 * x + x³ P(x²), P of degree 4 (relative error 4.4e-9 before rounding), as 1 - e would cancel there;
 * tanh' = 4 e / (1 + e)², which keeps its relative accuracy to the ends. */
static inline float function_tanh(float x)
{
    const float size = fabsf(x);
    const float e = function_exp(-2.0F * size);
    const float far = (1.0F - e) / (1.0F + e);
    const float square = x * x;
    float p = -0x1.75e11cp-8f;
    p = __builtin_fmaf(p, square, 0x1.522676p-6f);
    p = __builtin_fmaf(p, square, -0x1.b83c54p-5f);
    p = __builtin_fmaf(p, square, 0x1.110726p-3f);
    p = __builtin_fmaf(p, square, -0x1.555532p-2f);
    const float near = __builtin_fmaf(x * square, p, x);
    return size < 0.625F ? near : x < 0 ? -far : far;
}

static inline float function_tanh_slope(float x)
{
    const float e = function_exp(-2.0F * fabsf(x));
    const float share = 1.0F / (1.0F + e);
    return 4.0F * (e * share * share);
}

/* e^x in double for -700 <= x <= 700: x = n ln 2 + r, e^r as its series to r^13. */
static inline double function_exp_double(double x)
{
    const double round = 0x1.8p52;
    const double n = (x * 0x1.71547652b82fep+0 + round) - round;
    const double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
    double series = 1.0;
    for (int k = 13; k >= 1; k--) {
        series = 1.0 + series * (r / k);
    }
    const uint64_t bits = (uint64_t)(1023 + (int64_t)n) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return series * power;
}

/* e^x for x <= 700, with 0 below -700 and where x is no number. */
static inline double function_exp_below(double x)
{
    return x >= -700.0 ? function_exp_double(x) : 0.0;
}

/* Sine and cosine of an angle in double, |angle| below 2^18: what is left of the nearest multiple n
 * of π/2 (in three parts, the first two with products by n that are exact), as series to r^17. */
struct function_circle {
    double sine;
    double cosine;
};

static inline struct function_circle function_circle(double angle)
{
    const double round = 0x1.8p52;
    const double n = (angle * 0x1.45f306dc9c883p-1 + round) - round;
    const double r =
        ((angle - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
    const double square = r * r;
    double sine = 1.0;
    double cosine = 1.0;
    for (int k = 16; k >= 2; k -= 2) {
        sine = 1.0 - sine * square / (k * (k + 1));
        cosine = 1.0 - cosine * square / (k * (k - 1));
    }
    sine *= r;
    switch ((int64_t)n & 3) {
    case 1:
        return (struct function_circle){cosine, -sine};
    case 2:
        return (struct function_circle){-sine, -cosine};
    case 3:
        return (struct function_circle){-cosine, sine};
    default:
        return (struct function_circle){sine, cosine};
    }
}

/* Natural logarithm of a positive normal number: x = 2^n · m with m in [sqrt(1/2), sqrt(2)), and
 * log m = 2 atanh s, s = (m - 1) / (m + 1), as a series to s^21. Own code, as the last bits of
 * libm's depend on the machine. Infinity and NaN give themselves. */
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
