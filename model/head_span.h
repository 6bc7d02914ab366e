/* SpanBERT's span boundary objective: each token of a masked span is predicted from the hidden
 * states of the rows before and behind the span and from its place in it:
 *
 *     (left, right, place) (S, 2C + P)  ->  transform  ->  transform  ->  the word table, its own
 * bias
 *
 * Targets without a boundary take no part, nor do places for which the options have no row. Its
 * loss weighs as the masked LM's does: both are over the same targets, but for those few. */
#ifndef SHARDLM_MODEL_HEAD_SPAN_H
#define SHARDLM_MODEL_HEAD_SPAN_H

#include "model/activations.h"
#include "model/decoder.h"
#include "model/pass.h"

bool head_span_exists(const struct pass *pass);
/* hidden (N, C) to what the two below read. Returns the number of targets with a boundary, S. */
int64_t head_span_forward(const struct pass *pass, const struct span_activations *kept,
                          const float *hidden);
void head_span_score(const struct pass *pass, const struct span_activations *kept, int64_t count,
                     struct head_score *score);
/* Scores and differentiates, S > 0: d_hidden (N, C) is added to; the head's gradient is added to or written; of the
 * embeddings' gradient the word table is treated as `embeddings` says. */
void head_span_backward(const struct pass *pass, const struct span_activations *kept, int64_t count,
                        float *d_hidden, float loss_scale, const struct group_gradient *head,
                        const struct group_gradient *embeddings, struct head_score *score);

#endif
