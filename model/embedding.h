/* From token ids to what enters the first layer: word + position + segment, LayerNorm, dropout,
 * mapping from E to C. A family may lack positions, segments, LayerNorm and mapping. Rows of a
 * query stream begin as one learnt vector. */
#ifndef SHARDLM_MODEL_EMBEDDING_H
#define SHARDLM_MODEL_EMBEDDING_H

#include "model/activations.h"
#include "model/pass.h"

/* Fills `kept`; the result is kept->embedded (N, C). */
void embedding_forward(const struct pass *pass, const struct embedding_activations *kept);
/* Adds to the embeddings' gradient; d_embedded (N, C) is overwritten, scratch (N, C). */
void embedding_backward(const struct pass *pass, const struct embedding_activations *kept,
                        float *d_embedded, float *scratch, const struct group_gradient *gradient);

#endif
