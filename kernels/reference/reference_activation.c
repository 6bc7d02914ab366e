/* Biases and activations, element by element. */
#include "kernels/functions.h"
#include "kernels/operations.h"

static float activation(float x, enum kernels_activation kind)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        return function_gelu(x);
    case KERNELS_ACTIVATION_GELU_TANH:
        return function_gelu_tanh(x);
    case KERNELS_ACTIVATION_TANH:
        return function_tanh(x);
    case KERNELS_ACTIVATION_RELU:
        break;
    }
    return x > 0 ? x : 0.0F;
}

static float activation_slope(float x, enum kernels_activation kind)
{
    switch (kind) {
    case KERNELS_ACTIVATION_GELU:
        return function_gelu_slope(x);
    case KERNELS_ACTIVATION_GELU_TANH:
        return function_gelu_tanh_slope(x);
    case KERNELS_ACTIVATION_TANH:
        return function_tanh_slope(x);
    case KERNELS_ACTIVATION_RELU:
        break;
    }
    return x > 0 ? 1.0F : 0.0F;
}

void activation_forward_reference(float *out, float *slope, float *pre, const float *bias,
                                  enum kernels_activation kind, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            if (bias != NULL) {
                pre[i * c + j] += bias[j];
            }
            out[i * c + j] = activation(pre[i * c + j], kind);
            if (slope != NULL) {
                slope[i * c + j] = activation_slope(pre[i * c + j], kind);
            }
        }
    }
}

void activation_backward_reference(float *d_pre, float *d_bias, const float *d_out,
                                   const float *slope, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n * c; i++) {
        d_pre[i] = d_out[i] * slope[i];
    }
    bias_backward_reference(d_bias, d_pre, n, c);
}

void bias_forward_reference(float *out, const float *bias, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            out[i * c + j] += bias[j];
        }
    }
}

void bias_backward_reference(float *d_bias, const float *d_out, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            d_bias[j] += d_out[i * c + j];
        }
    }
}
