/* Is a batch one that the model can compute? Sizes and order are the duty of the code that made it;
 * what comes from data (ids, positions, segments, lengths) is refused with its row. */
#ifndef SHARDLM_MODEL_BATCH_CHECK_H
#define SHARDLM_MODEL_BATCH_CHECK_H

#include "base/error.h"
#include "data_pipeline/batch.h"
#include "model/model_options.h"

struct batch_bounds {
    const struct model_options *options;
    const struct batch_limits *limits;
    bool relative; /* attention by distance */
};

MUST_CHECK enum status batch_check(const struct batch_bounds *bounds, const struct batch *batch,
                                   struct error *error);

#endif
