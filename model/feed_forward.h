/* The two linear maps of a layer with an activation between them. The residual sum around it is the encoder's. */
#ifndef SHARDLM_MODEL_FEED_FORWARD_H
#define SHARDLM_MODEL_FEED_FORWARD_H

#include "model/activations.h"
#include "model/pass.h"

/* branch (N, C) = outer map without its bias. Keeps `inner`; `branch` NULL: only that. `wide` (N + 1, F) is scratch. */
void feed_forward_forward(const struct pass *pass, int64_t layer, float *branch,
                          const float *in /* (N, C) */, const struct layer_activations *kept,
                          float *wide);
/* d_in (N, C), added to if `add`, and the gradients of both maps from d_branch (N, C). `wide` (N + 1, F) is scratch. */
void feed_forward_backward(const struct pass *pass, float *d_in, bool add, const float *d_branch,
                           const float *in, const struct layer_activations *kept, float *wide,
                           const struct group_gradient *gradient);

#endif
