/* Multi-head self-attention within each packed sequence: one product for query, key and value, the attention kernel,
 * the projection of the heads. The residual sum around it is the encoder's. */
#ifndef SHARDLM_MODEL_ATTENTION_H
#define SHARDLM_MODEL_ATTENTION_H

#include "model/activations.h"
#include "model/pass.h"

/* branch = projection of the needed rows (needed.h) without its bias. Keeps qkv, heads and log_sum;
 * `branch` NULL: only that. Where the needed rows alone ask, query i and its heads are row i of
 * those. `rows` (N, C) is scratch and may be `branch`, `scratch` the attention kernel's. */
void attention_forward(const struct pass *pass, int64_t layer, float *branch,
                       const float *in /* (N, C) */, const struct layer_activations *kept,
                       float *rows, float *scratch);
/* First half: gradients of the projection from d_branch (needed rows), then d_qkv (N, 3C). `d_heads`
 * (N, C) is scratch. */
void attention_backward_heads(const struct pass *pass, int64_t layer, float *d_qkv, float *d_heads,
                              const float *d_branch, const struct layer_activations *kept,
                              float *scratch, const struct group_gradient *gradient);
/* Second half: d_in (N, C), added to if `add`, and the gradients of query, key and value. */
void attention_backward_input(const struct pass *pass, float *d_in, bool add, const float *d_qkv,
                              const float *in, const struct group_gradient *gradient);

#endif
