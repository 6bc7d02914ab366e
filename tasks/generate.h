/* Text from a causal model, token by token: each is chosen from the logits of all before it. What
 * was computed for earlier tokens is kept (model/attention_cache.h). Deterministic: the draw of
 * token i is a function of (seed, i). Knows no tokenizer. */
#ifndef SHARDLM_TASKS_GENERATE_H
#define SHARDLM_TASKS_GENERATE_H

#include <stdbool.h>

#include "base/error.h"
#include "model/model.h"
#include "tasks/token_filter.h"

struct generate_options {
    int64_t token_count; /* most new tokens; fewer where the model's positions end */
    int32_t end_id;      /* nothing comes after it; -1: there is none */
    int64_t id_count;    /* ids below it may be chosen: spare rows of a vocabulary have no text */
    bool greedy;         /* always the likeliest; otherwise drawn */
    struct token_filter_options filter; /* repetition_penalty also when greedy */
    uint64_t seed;
    bool recompute; /* everything for every token, without a cache: for checks */
};

/* Called with each new token, the end included. */
struct generate_sink {
    enum status (*take)(void *context, int32_t id, struct error *error);
    void *context;
};

/* Goes on behind `prompt` (count, at least 1). The model is open for one sequence of all its
 * positions with one target. STATUS_INPUT if the prompt leaves no position. */
MUST_CHECK enum status generate(struct model *model, const struct kernels *kernels,
                                const struct model_options *model_options, const float *weights,
                                const int32_t *prompt, int64_t count,
                                const struct generate_options *options,
                                const struct generate_sink *sink, struct error *error);

#endif
