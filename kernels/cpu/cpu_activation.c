/* Biases and activations, element by element; the formulas are in kernels/functions.h. */
#include "kernels/cpu/cpu_level.h"
#include "kernels/functions.h"

static inline float relu(float x)
{
    return x > 0 ? x : 0.0F;
}

static inline float relu_slope(float x)
{
    return x > 0 ? 1.0F : 0.0F;
}

static void row_bias(float *row, const float *bias, int64_t c)
{
    SIMD
    for (int64_t j = 0; j < c; j++) {
        row[j] += bias[j];
    }
}

static void row_forward(float *out, const float *pre, enum kernels_activation kind, int64_t c)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            out[j] = function_gelu(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_GELU_TANH:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            out[j] = function_gelu_tanh(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_RELU:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            out[j] = relu(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_TANH:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            out[j] = function_tanh(pre[j]);
        }
        break;
    }
}

static void row_backward(float *d_pre, const float *d_out, const float *pre,
                         enum kernels_activation kind, int64_t c)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            d_pre[j] = d_out[j] * function_gelu_slope(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_GELU_TANH:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            d_pre[j] = d_out[j] * function_gelu_tanh_slope(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_RELU:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            d_pre[j] = d_out[j] * relu_slope(pre[j]);
        }
        break;
    case KERNELS_ACTIVATION_TANH:
        SIMD
        for (int64_t j = 0; j < c; j++) {
            d_pre[j] = d_out[j] * function_tanh_slope(pre[j]);
        }
        break;
    }
}

void OPERATION(activation_forward)(float *out, float *pre, const float *bias,
                                   enum kernels_activation kind, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        if (bias != NULL) {
            row_bias(pre + i * c, bias, c);
        }
        row_forward(out + i * c, pre + i * c, kind, c);
    }
}

void OPERATION(activation_backward)(float *d_pre, const float *d_out, const float *pre,
                                    enum kernels_activation kind, int64_t n, int64_t c)
{
    row_backward(d_pre, d_out, pre, kind, n * c);
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
