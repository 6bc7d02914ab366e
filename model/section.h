/* Sections of a pipeline: consecutive layers, cut so that all sections have about the same work.
 * The embeddings belong to the first, the final norm, the heads and the loss to the last. Who
 * computes a section changes no bit. */
#ifndef SHARDLM_MODEL_SECTION_H
#define SHARDLM_MODEL_SECTION_H

#include "base/error.h"
#include "data_pipeline/batch.h"
#include "model/model_role.h"
#include "model/parameters.h"

struct section {
    int64_t index;
    int64_t count; /* of sections; at least 1 */
    int64_t first_layer;
    int64_t end_layer;
};

/* Section `index` of `count`; section_check has said that so many can be. `limits` tell the share
 * of predictions. */
struct section section_make(const struct model_options *options, const struct batch_limits *limits,
                            int64_t index, int64_t count);
/* The role's; of one where it names none. */
struct section section_of(const struct model_options *options, const struct batch_limits *limits,
                          const struct model_role *role);
bool section_is_first(const struct section *section);
bool section_is_last(const struct section *section);
/* Whether it forms a part of the gradient of `group`, and whether it has what is to be handed over
 * of it. Of the embeddings two do and have: the last as the decoder, the first as the input. Layers
 * that share tensors may be in several, and the one with the lowest has their gradient
 * (cut_groups.h). */
bool section_adds_to_group(const struct section *section, const struct parameter_table *table,
                           int64_t group);
bool section_has_group(const struct section *section, const struct parameter_table *table,
                       int64_t group);
/* Slots that are between their forward and their backward here at once. */
int64_t section_slots_in_flight(const struct section *section);
/* STATUS_INPUT, naming shard.pipeline, where there are fewer layers than sections. */
MUST_CHECK enum status section_check(const struct model_options *options, int64_t count,
                                     struct error *error);

#endif
