/* Where not all weights are at hand at all times (shard/weight_gate.h): what a pass tells before
 * and after it reads those of a group.
 *
 *     train      embeddings, layers up, head with embeddings, layers down, embeddings
 *     evaluate   embeddings, layers up, head with embeddings
 *
 * A section of a pipeline tells its own part of that, up and down in separate calls.
 * Layers that share a group hold it once, from the first that uses it to the last. Backward of a
 * layer reads the LayerNorm of the one below: so there two are held. What will be held next is told
 * ahead, so that it may come in meanwhile. A failure is the gate's own to keep and to tell: the
 * pass goes on with whatever it reads. In all functions `gate` may be NULL: all weights are at
 * hand. */
#ifndef SHARDLM_MODEL_PARAMETER_GATE_H
#define SHARDLM_MODEL_PARAMETER_GATE_H

#include "model/section.h"

struct parameter_gate {
    void (*ahead)(void *context, int64_t group);
    void (*hold)(void *context, int64_t group); /* returns when its weights are there */
    void (*drop)(void *context, int64_t group);
    void *context;
};

/* Around the embeddings, before the first layer and behind the last. */
void parameter_gate_embeddings(const struct parameter_gate *gate,
                               const struct parameter_table *table, const struct section *section,
                               bool forward);
void parameter_gate_embeddings_done(const struct parameter_gate *gate,
                                    const struct parameter_table *table);
/* Around a layer in forward. */
void parameter_gate_up(const struct parameter_gate *gate, const struct parameter_table *table,
                       const struct section *section, int64_t layer);
void parameter_gate_up_done(const struct parameter_gate *gate, const struct parameter_table *table,
                            const struct section *section, int64_t layer);
/* Around all that reads the head. */
void parameter_gate_head(const struct parameter_gate *gate, const struct parameter_table *table);
void parameter_gate_head_done(const struct parameter_gate *gate,
                              const struct parameter_table *table);
/* Before the first layer of backward, and around each. */
void parameter_gate_turn(const struct parameter_gate *gate, const struct parameter_table *table,
                         const struct section *section);
void parameter_gate_down(const struct parameter_gate *gate, const struct parameter_table *table,
                         const struct section *section, int64_t layer);
void parameter_gate_down_done(const struct parameter_gate *gate,
                              const struct parameter_table *table, const struct section *section,
                              int64_t layer);

#endif
