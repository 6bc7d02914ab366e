/* Attention by distance (Transformer-XL, XLNet) for both streams: keys and values of all tokens,
 * queries of all rows, the table of distances projected, the attention kernel once for each stream,
 * the projection of the heads. streams.h says which rows there are and who sees whom; the residual
 * sum around it is the encoder's. Where other families keep and pass (N, 3C), q (R, C), k (R, C)
 * and v (R, C) stand here, of k and v the first N rows. What a sequence remembers is taken from
 * those, without a gradient to the rows that are remembered; the weights of key and value do learn
 * from it. Dropped are probabilities and what leaves the layer's halves; the table of distances and
 * the feed-forward's inner values are not, against the published code. */
#ifndef SHARDLM_MODEL_TWO_STREAM_H
#define SHARDLM_MODEL_TWO_STREAM_H

#include "model/activations.h"
#include "model/pass.h"

/* As attention_forward, attention_backward_heads and attention_backward_input (attention.h), for R
 * rows. */
void two_stream_forward(const struct pass *pass, int64_t layer, float *branch,
                        const float *in /* (R, C) */, const struct layer_activations *kept,
                        const struct relative_activations *work);
void two_stream_backward_heads(const struct pass *pass, int64_t layer, float *d_qkv, float *d_heads,
                               const float *d_branch, const struct layer_activations *kept,
                               const struct relative_activations *work,
                               const struct group_gradient *gradient);
/* d_qkv is used up. */
void two_stream_backward_input(const struct pass *pass, float *d_in, bool add, float *d_qkv,
                               const float *in, const struct relative_activations *work,
                               const struct group_gradient *gradient);

#endif
