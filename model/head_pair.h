/* One label per sequence (next sentence, sentence order): the first row's hidden state through the pooler (dense,
 * tanh), then two logits. Sequences without a label take no part. */
#ifndef SHARDLM_MODEL_HEAD_PAIR_H
#define SHARDLM_MODEL_HEAD_PAIR_H

#include "model/activations.h"
#include "model/decoder.h"
#include "model/pass.h"

enum { HEAD_PAIR_LABELS = 2 };

bool head_pair_exists(const struct pass *pass);
/* hidden (N, C) to what the two below read. Returns the number of labelled sequences, P. */
int64_t head_pair_forward(const struct pass *pass, const struct pair_activations *kept,
                          const float *hidden);
void head_pair_score(const struct pass *pass, const struct pair_activations *kept, int64_t count,
                     struct head_score *score);
/* Scores and differentiates, P > 0: d_hidden (N, C) and the head's gradient are added to or written. The loss of a
 * sequence weighs batch->sequence_weight. */
void head_pair_backward(const struct pass *pass, const struct pair_activations *kept, int64_t count,
                        float *d_hidden, float loss_scale, const struct group_gradient *head,
                        struct head_score *score);
/* logits (B, 2) of every sequence, whatever its label. */
void head_pair_logits(const struct pass *pass, const struct pair_activations *kept,
                      const float *hidden, float *logits);

#endif
