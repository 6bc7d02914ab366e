/* The language model head on predicted rows only: the family's transform (dense, activation, LayerNorm; GPT has none),
 * the word table as decoder, its bias. */
#ifndef SHARDLM_MODEL_HEAD_MLM_H
#define SHARDLM_MODEL_HEAD_MLM_H

#include "model/activations.h"
#include "model/decoder.h"
#include "model/pass.h"

/* hidden (N, C) to what the three below read. */
void head_mlm_forward(const struct pass *pass, const struct head_activations *kept,
                      const float *hidden);
void head_mlm_score(const struct pass *pass, const struct head_activations *kept,
                    struct head_score *score);
void head_mlm_logits(const struct pass *pass, const struct head_activations *kept,
                     float *logits /* (K, V) */);
/* Scores and differentiates: d_hidden (N, C) is added to; the head's gradient is added to or written; of the
 * embeddings' gradient the word table is written. */
void head_mlm_backward(const struct pass *pass, const struct head_activations *kept,
                       float *d_hidden, float loss_scale, const struct group_gradient *head,
                       const struct group_gradient *embeddings, struct head_score *score);

#endif
