/* The seam between the encoder and what a family predicts: the encoder gives the last hidden state, the objective gives
 * back its gradient, the gradients of its own tensors and the score. Every family predicts tokens; those with the
 * tensors for it also label sequences (next sentence, sentence order) or predict spans from their boundaries. A further
 * loss adds its head here; neither the encoder nor the model changes. */
#ifndef SHARDLM_MODEL_OBJECTIVE_H
#define SHARDLM_MODEL_OBJECTIVE_H

#include "model/activations.h"
#include "model/decoder.h"
#include "model/pass.h"

struct objective_score {
    struct head_score tokens;
    struct head_score sequences;
    struct head_score spans;
};

/* Where an objective's gradients go. `embeddings` is begun by objective_backward; the input side adds to it later. */
struct objective_gradient {
    float *d_hidden; /* (N, C) written */
    struct group_gradient head;
    struct group_gradient embeddings;
    float loss_scale; /* not 0 */
};

/* Adds to `score`. */
void objective_score(const struct pass *pass, const struct activations *activations,
                     const float *hidden, struct objective_score *score);
void objective_backward(const struct pass *pass, const struct activations *activations,
                        const float *hidden, const struct objective_gradient *gradient,
                        struct objective_score *score);
/* logits (K, V) */
void objective_logits(const struct pass *pass, const struct activations *activations,
                      const float *hidden, float *logits);
/* logits (B, 2); false: the family labels no sequences. */
bool objective_sequence_logits(const struct pass *pass, const struct activations *activations,
                               const float *hidden, float *logits);

#endif
