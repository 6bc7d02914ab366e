/* What one worker's model is for and what it holds for that. Only tensor_parts changes bits of the
 * result. */
#ifndef SHARDLM_MODEL_MODEL_ROLE_H
#define SHARDLM_MODEL_MODEL_ROLE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/parts.h"

/* What is kept of a layer from forward to backward; the rest is computed again, with the same bits.
 * In floats for each token (C width, F inner width, H heads): */
enum model_recompute {
    MODEL_RECOMPUTE_NONE,      /* all: 6C + 2F + H, and H bits for each key */
    MODEL_RECOMPUTE_ATTENTION, /* all but queries, keys, values and heads: 2C + F */
    MODEL_RECOMPUTE_LAYER,     /* its output: C */
    MODEL_RECOMPUTES,
};

struct model_role {
    bool trains; /* else there is no backward, and nothing is kept */
    enum model_recompute recompute;
    int64_t section;       /* of a pipeline (section.h), from 0 */
    int64_t section_count; /* 0 or 1: the whole network */
    int64_t tensor_parts;                  /* v (parts.h); 0: 1 */
    int64_t tensor_member;                 /* of the t that compute the same batches */
    int64_t tensor_count;                  /* t; 0: 1 */
    const struct parts_exchange *exchange; /* where t > 1; kept */
};

#endif
