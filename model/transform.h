/* What a head does to its rows before they meet the word table: dense, activation, LayerNorm. */
#ifndef SHARDLM_MODEL_TRANSFORM_H
#define SHARDLM_MODEL_TRANSFORM_H

#include "model/activations.h"
#include "model/norm.h"
#include "model/pass.h"

/* Its parameters, all of the head's group: weight (out, in), bias, and a LayerNorm of width out. */
struct transform_place {
    enum parameter_role weight;
    enum parameter_role bias;
    enum parameter_role gain;
    enum parameter_role shift;
    enum kernels_activation activation;
};

/* in (n, in) to kept->normed (n, out). */
void transform_forward(const struct pass *pass, const struct transform_place *place,
                       const struct transform_activations *kept, const float *in, int64_t n);
/* d_in (n, in) is written, from kept->d_normed, which it may be; the head's gradient is added to or written. */
void transform_backward(const struct pass *pass, const struct transform_place *place,
                        const struct transform_activations *kept, float *d_in, const float *in,
                        int64_t n, const struct group_gradient *gradient);

#endif
