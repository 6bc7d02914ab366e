/* How likely a text is under a model, as the natural logarithm of a probability: of a causal model
 * the sum over its tokens, each given those before it; of a masked one the pseudo-log-likelihood,
 * each token masked in turn and given all others (Salazar et al. 2020). The two do not compare.
 * Knows no tokenizer. */
#ifndef SHARDLM_TASKS_SCORE_H
#define SHARDLM_TASKS_SCORE_H

#include "base/error.h"
#include "model/model.h"

struct score_text {
    const int32_t *ids; /* (count) with the tokens that begin and end a text */
    int64_t count;
    int64_t
        first; /* tokens [first, end) are scored, those outside only seen; first >= 1 if causal */
    int64_t end;
    int32_t mask; /* id of the mask token; -1: the model is causal */
};

/* Sequences that the batch of a masked model has at once; a causal one has one, with `count`
 * targets. */
enum { SCORE_SEQUENCES_MAX = 16 };
struct batch_limits score_limits(const struct score_text *text);

/* *log_likelihood over the scored tokens; the model is open for score_limits(). */
MUST_CHECK enum status score(struct model *model, const float *weights,
                             const struct score_text *text, double *log_likelihood,
                             struct error *error);

#endif
