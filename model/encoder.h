/* The stack of layers, for both places of the LayerNorm (A attention, F feed-forward, D dropout):
 *
 *     post:  mid = norm(in + D(A(in)))            pre:  mid = in + D(A(norm(in)))
 *            out = norm(mid + D(F(mid)))                out = mid + D(F(norm(mid)))      and one more norm at the end
 *
 * One encoder for all families: what differs is an option, never a copy. */
#ifndef SHARDLM_MODEL_ENCODER_H
#define SHARDLM_MODEL_ENCODER_H

#include "model/activations.h"
#include "model/pass.h"

/* Runs the section's layers below `end_layer`, if it is the first the embeddings before them, if all layers the final
 * norm behind. Returns the hidden state (N, C), which stays until the next call of anything here. Leaves the head held
 * at the gate, if there is one. */
const float *encoder_forward(const struct pass *pass, const struct activations *activations,
                             int64_t end_layer);

/* Where a layer's gradients go: one group for both halves, or one for each. */
struct layer_gradient {
    struct group_gradient halves[PARAMETER_HALVES];
};

/* Backward goes: the objective writes the gradient of the last hidden state (N, C) to encoder_hidden_gradient();
 * encoder_backward_final; encoder_backward_layer from the top; encoder_backward_embedding. */
/* That of what entered the layer whose backward was last; before that of a section's highest, of what left it. */
float *encoder_stream_gradient(const struct activations *activations);
float *encoder_hidden_gradient(const struct pass *pass, const struct activations *activations);
/* Through the final norm, if there is one; its gradients belong to the head's group. */
void encoder_backward_final(const struct pass *pass, const struct activations *activations,
                            const struct group_gradient *head);
void encoder_backward_layer(const struct pass *pass, const struct activations *activations,
                            int64_t layer, const struct layer_gradient *gradient);
void encoder_backward_embedding(const struct pass *pass, const struct activations *activations,
                                const struct group_gradient *gradient);

#endif
