/* Rows against the tied word table: logits, their score, their gradient. All logits are never in memory at once: a
 * chunk of rows at a time is computed, scored and turned into its gradient. */
#ifndef SHARDLM_MODEL_DECODER_H
#define SHARDLM_MODEL_DECODER_H

#include "model/activations.h"
#include "model/pass.h"

/* Sums over rows. */
struct head_score {
    double loss_sum;
    int64_t count;
    int64_t correct_count;
};

/* One use of the table. */
struct decoder {
    const float *rows;        /* (count, E) */
    const int32_t *targets;   /* (count) ids */
    int64_t count;            /* may be 0: nothing happens */
    float *logits;            /* (head_chunk_rows, local V) scratch */
    enum parameter_role bias; /* (V); of the head's group, where the family has one */
};

/* Adds to `score`. */
void decoder_score(const struct pass *pass, const struct decoder *decoder,
                   struct head_score *score);
/* logits (count, V); for a model that has all parts. */
void decoder_logits(const struct pass *pass, const struct decoder *decoder, float *logits);
/* Scores and differentiates: d_rows (count, E) is written, the bias' gradient is added to, the word table's written or,
 * if embeddings->adds, added to. */
void decoder_backward(const struct pass *pass, const struct decoder *decoder, float *d_rows,
                      float loss_scale, const struct group_gradient *head,
                      const struct group_gradient *embeddings, struct head_score *score);

#endif
