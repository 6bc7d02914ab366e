/* The masked language model head on predicted rows only: dense, GELU, LayerNorm, the word table as decoder, bias. All
 * logits are never in memory at once: a chunk of rows at a time is computed, scored and turned into its gradient. */
#ifndef SHARDLM_MODEL_HEAD_MLM_H
#define SHARDLM_MODEL_HEAD_MLM_H

#include "model/activations.h"
#include "model/pass.h"

/* Sums over the target rows, as in struct model_result. */
struct head_score {
    double loss_sum;
    int64_t correct_count;
};

/* hidden (N, C) to kept->normed (K, C). */
void head_mlm_forward(const struct pass *pass, const struct head_activations *kept,
                      const float *hidden);
/* Scores what head_mlm_forward left. */
void head_mlm_score(const struct pass *pass, const struct head_activations *kept,
                    struct head_score *score);
/* logits (K, V) of what head_mlm_forward left. */
void head_mlm_logits(const struct pass *pass, const struct head_activations *kept, float *logits);
/* Scores and differentiates: d_hidden (N, C) is written; the head's gradient is added to or written; of the embeddings'
 * gradient the word table is written. */
void head_mlm_backward(const struct pass *pass, const struct head_activations *kept,
                       float *d_hidden, float loss_scale, const struct group_gradient *head,
                       const struct group_gradient *embeddings, struct head_score *score);

#endif
