/* Dropout: which elements are kept, and the kept ones scaled. */
#include "kernels/reference/reference_dropout.h"
#include "kernels/operations.h"

void dropout_bits_reference(uint32_t *bits, const struct kernels_dropout *dropout, int64_t count)
{
    for (int64_t word = 0; word < (count + 31) / 32; word++) {
        bits[word] = 0;
    }
    for (int64_t i = 0; i < count; i++) {
        bits[i / 32] |= (dropout_keeps(dropout, i) ? 1U : 0U) << (i % 32);
    }
}

void dropout_apply_reference(float *out, const float *in, const uint32_t *bits, float scale,
                             int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (bits == NULL) {
            out[i] = in[i];
        } else {
            out[i] = dropout_bit(bits, i) ? in[i] * scale : 0.0F;
        }
    }
}
