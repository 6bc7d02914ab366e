/* How likely a text is under a model, as the natural logarithm of a probability: of a causal model
 * the sum over its tokens, each given those before it; of a masked one the pseudo-log-likelihood,
 * each token masked in turn and given all others (Salazar et al. 2020), which does not compare with
 * the others; of XLNet, for an order z of the n scored tokens, log p(x) = sum over t = 1 .. n of
 * log p(x[z_t] | x[z_1], ..., x[z_{t-1}]) (Yang et al. 2019, equation 3, with one z instead of the
 * mean over all): a probability of the text like the causal one, given the unscored tokens, which
 * all tokens see. Knows no tokenizer. */
#ifndef SHARDLM_TASKS_SCORE_H
#define SHARDLM_TASKS_SCORE_H

#include "base/error.h"
#include "model/model.h"

enum score_kind {
    SCORE_KIND_CAUSAL,
    SCORE_KIND_MASKED,
    SCORE_KIND_PERMUTED,
};

struct score_text {
    enum score_kind kind;
    const int32_t *ids; /* (count) with the tokens that begin and end a text */
    int64_t count;
    int64_t
        first; /* tokens [first, end) are scored, those outside only seen; first >= 1 if causal */
    int64_t end;
    int32_t mask; /* masked: id of the mask token */
    const int32_t
        *ranks;        /* permuted: (end - first) of each scored token its place t in z, from 0 */
    int64_t class_row; /* permuted: the class token, which has a segment of its own; -1: none */
};

/* Sequences that the batch of a masked model has at once; others have one, with `count` targets. */
enum { SCORE_SEQUENCES_MAX = 16 };
struct batch_limits score_limits(const struct score_text *text);

/* *log_likelihood over the scored tokens; the model is open for score_limits(). */
MUST_CHECK enum status score(struct model *model, const float *weights,
                             const struct score_text *text, double *log_likelihood,
                             struct error *error);

#endif
