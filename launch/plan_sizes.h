/* What of a plan follows from a configuration and the data it would see, without a measurement. */
#ifndef SHARDLM_LAUNCH_PLAN_SIZES_H
#define SHARDLM_LAUNCH_PLAN_SIZES_H

#include "launch/config.h"
#include "launch/forecast.h"

struct plan_sizes {
    int64_t elements, blocks, table_elements, layer_elements; /* as in forecast_inputs */
    int64_t parameters;
    int64_t slots;
    int64_t state_bytes;
    int64_t exchange_bytes[MODEL_RECOMPUTES];
    double slot_flops;
};

MUST_CHECK enum status plan_sizes_find(const struct config *config, struct plan_sizes *sizes,
                                       struct error *error);
/* Useful operations of a sequence. */
double plan_sizes_sequence_flops(const struct config *config);
/* Work memory of a model under this configuration. */
MUST_CHECK enum status plan_sizes_work(const struct config *config, struct forecast_work *work,
                                       struct error *error);
/* The same by every way to cut this network that keeps its bits: inputs->pipelines, tensors and
 * works. */
MUST_CHECK enum status plan_sizes_works(const struct config *config, struct forecast_inputs *inputs,
                                        struct error *error);

#endif
