/* The word table is read at both ends of the network, and its gradient is a float sum: the
 * decoder's part first, then the input side's. Where two sections of a pipeline form the parts, the
 * last hands the rows of the batch's own tokens to the first, which goes on with the sum; all other
 * rows have no input side and are complete as they are. */
#ifndef SHARDLM_MODEL_WORD_ROWS_H
#define SHARDLM_MODEL_WORD_ROWS_H

#include "model/pass.h"

/* Consecutive tokens of the batch whose words this member has (parts.h). */
struct word_run {
    int64_t first;
    int64_t count;      /* 0: there are no more */
    const int32_t *ids; /* (count) rows of the member's gradient of the table */
};
struct word_run word_run_first(const struct pass *pass);
struct word_run word_run_next(const struct pass *pass, const struct word_run *run);

/* rows (N, E) = the gradient's rows of the tokens, which become 0 there; a token that comes again,
 * or whose word another member has, gets 0. */
void word_rows_give(const struct pass *pass, const struct group_gradient *embeddings, float *rows);
/* The gradient of the embeddings, begun with those rows and 0 elsewhere. */
void word_rows_take(const struct pass *pass, const struct group_gradient *embeddings,
                    const float *rows);

#endif
