/* Biases and activations, element by element; the formulas are in kernels/functions.h. */
#include "kernels/cpu/cpu_level.h"
#include "kernels/functions.h"

struct point {
    float value;
    float slope;
};

/* `kind` is a constant where this is called, and what is not used is not computed. */
static inline __attribute__((always_inline)) struct point point_at(float x,
                                                                   enum kernels_activation kind)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        return (struct point){function_gelu(x), function_gelu_slope(x)};
    case KERNELS_ACTIVATION_GELU_TANH:
        return (struct point){function_gelu_tanh(x), function_gelu_tanh_slope(x)};
    case KERNELS_ACTIVATION_TANH:
        return (struct point){function_tanh(x), function_tanh_slope(x)};
    case KERNELS_ACTIVATION_RELU:
        break;
    }
    return (struct point){x > 0 ? x : 0.0F, x > 0 ? 1.0F : 0.0F};
}

static void row_bias(float *row, const float *bias, int64_t c)
{
    SIMD
    for (int64_t j = 0; j < c; j++) {
        row[j] += bias[j];
    }
}

static inline __attribute__((always_inline)) void
row_points(float *out, float *slope, const float *pre, enum kernels_activation kind, int64_t c)
{
    if (slope == NULL) {
        SIMD
        for (int64_t j = 0; j < c; j++) {
            out[j] = point_at(pre[j], kind).value;
        }
        return;
    }
    SIMD
    for (int64_t j = 0; j < c; j++) {
        const struct point point = point_at(pre[j], kind);
        out[j] = point.value;
        slope[j] = point.slope;
    }
}

static void row_forward(float *out, float *slope, const float *pre, enum kernels_activation kind,
                        int64_t c)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        row_points(out, slope, pre, KERNELS_ACTIVATION_GELU, c);
        break;
    case KERNELS_ACTIVATION_GELU_TANH:
        row_points(out, slope, pre, KERNELS_ACTIVATION_GELU_TANH, c);
        break;
    case KERNELS_ACTIVATION_RELU:
        row_points(out, slope, pre, KERNELS_ACTIVATION_RELU, c);
        break;
    case KERNELS_ACTIVATION_TANH:
        row_points(out, slope, pre, KERNELS_ACTIVATION_TANH, c);
        break;
    }
}

void OPERATION(activation_forward)(float *out, float *slope, float *pre, const float *bias,
                                   enum kernels_activation kind, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        if (bias != NULL) {
            row_bias(pre + i * c, bias, c);
        }
        row_forward(out + i * c, slope != NULL ? slope + i * c : NULL, pre + i * c, kind, c);
    }
}

void OPERATION(activation_backward)(float *d_pre, float *d_bias, const float *d_out,
                                    const float *slope, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        SIMD
        for (int64_t j = 0; j < c; j++) {
            const float d = d_out[i * c + j] * slope[i * c + j];
            d_pre[i * c + j] = d;
            d_bias[j] += d;
        }
    }
}

void OPERATION(bias_forward)(float *out, const float *bias, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        row_bias(out + i * c, bias, c);
    }
}

void OPERATION(bias_backward)(float *d_bias, const float *d_out, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        row_bias(d_bias, d_out + i * c, c);
    }
}
