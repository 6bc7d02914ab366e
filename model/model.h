/* A network over packed batches: forward, backward, prediction. Knows no MPI, no files, no clock. All randomness
 * comes from batch->dropout_key. Weights are one flat fp32 array laid out by the parameter table; the model borrows
 * them for the time of a call, so they may be replaced between calls.
 *
 * Every float sum has one fixed order that depends on the batch alone: the same batch and weights give the same bits
 * on any worker (under one numeric profile, kernels/kernels.h). */
#ifndef SHARDLM_MODEL_MODEL_H
#define SHARDLM_MODEL_MODEL_H

#include "base/error.h"
#include "data_pipeline/batch.h"
#include "kernels/kernels.h"
#include "model/gradient_blocks.h"
#include "model/handover.h"
#include "model/model_options.h"
#include "model/model_role.h"
#include "model/parameters.h"
#include "model/section.h"

struct model; /* options, table and all work memory; one per worker, not shared between threads */

/* Takes every byte of work memory now (activations for `limits`, gradient scratch where `role` is
 * to train). `role` NULL: forward only. */
MUST_CHECK enum status model_open(struct model **model, const struct kernels *kernels,
                                  const struct model_options *options,
                                  const struct batch_limits *limits,
                                  const struct model_role *role,
                                  struct error *error); /* keeps `kernels` */
/* Whether the network can be cut as `role` says: STATUS_INPUT, naming numerics.tensor_parts, if not.
 * model_open asks, too. Of the calls below a model with less than all parts has model_train and
 * model_evaluate. */
MUST_CHECK enum status model_role_check(const struct model_options *options,
                                        const struct model_role *role, struct error *error);
void model_close(struct model *model); /* accepts NULL */
const struct parameter_table *model_table(const struct model *model);
/* (groups) Which elements its gradients have. Of a model that trains. */
const struct gradient_blocks *model_gradient_blocks(const struct model *model);

/* Work memory that model_open will take, in bytes (one block; attention's scratch depends on the kernels' level).
 * STATUS_INPUT as parameter_table_init. */
MUST_CHECK enum status model_work_bytes(const struct kernels *kernels,
                                        const struct model_options *options,
                                        const struct batch_limits *limits,
                                        const struct model_role *role, int64_t *bytes,
                                        struct error *error);
/* Useful floating-point operations of forward and backward over one batch:
 * 6·N·(matrix parameters of the layers) + 12·L·C·Σ(T_b²) + 6·K·(head matrix + E·V). Small heads
 * (pooler, span boundaries) and the mapping from E to C are not counted, nor that causal attention
 * skips half. Of the matrices behind the attention of the last layer only targets count, where rows
 * are left out (needed.h). XLNet: rows of the query stream count, without key and value; distances, memory and
 * the attention of the query stream do not. */
double model_train_flops(const struct model_options *options, const struct batch *batch);

/* Sums over a batch; sums of several batches add up. */
struct model_result {
    double loss_sum;       /* natural-log cross entropy summed over the K targets, in a fixed order */
    int64_t target_count;  /* K */
    int64_t correct_count; /* targets where the largest logit is the target (ties: lowest id) */
    double sequence_loss_sum;       /* the same over labelled sequences, unweighted; families with such a head */
    int64_t sequence_count;
    int64_t sequence_correct_count;
    double span_loss_sum; /* the same over targets with a boundary; SpanBERT */
    int64_t span_count;
    int64_t span_correct_count;
};

/* From now on every pass tells `gate`, which is kept, what it reads; NULL: all weights are at hand. */
struct parameter_gate; /* parameter_gate.h */
void model_gate(struct model *model, const struct parameter_gate *gate);

/* Where finished gradients go. Called once per group, head first, then layers from the top, embeddings last, each as
 * soon as it is complete: a group that layers share, after the lowest of them. `gradient` is borrowed until the call
 * returns: (group.count elements, padding 0), or, where other members have some of it, what model_gradient_blocks
 * tells. */
struct gradient_sink {
    enum status (*take)(void *context, int64_t group, const float *gradient, struct error *error);
    void *context;
};

/* All five calls below refuse (STATUS_INPUT) ids, positions or segments that the model's tables do not have, and
 * sequences longer than its positions. A batch beyond the limits is the caller's mistake.
 *
 * Forward and backward; needs a role that trains. loss_scale > 0. The gradient handed over is d(loss_scale ·
 * (loss_sum + batch->sequence_weight · sequence_loss_sum + span_loss_sum))/d(weights); dropout is on. */
MUST_CHECK enum status model_train(struct model *model, const float *weights,
                                   const struct batch *batch, float loss_scale,
                                   const struct gradient_sink *sink,
                                   struct model_result *result, struct error *error);
/* Forward only, no dropout. */
MUST_CHECK enum status model_evaluate(struct model *model, const float *weights,
                                      const struct batch *batch, struct model_result *result,
                                      struct error *error);
/* Logits of the batch's target rows, no dropout: `logits` (K, V), owned by the caller. */
MUST_CHECK enum status model_logits(struct model *model, const float *weights,
                                    const struct batch *batch, float *logits, struct error *error);
/* The same for a batch that goes on where the text in `cache` ends: one sequence, whose positions say so. Afterwards
 * the cache holds the batch too. For causal families. Agrees with model_logits of the whole text within rounding. */
struct attention_cache; /* attention_cache.h */
MUST_CHECK enum status model_logits_next(struct model *model, struct attention_cache *cache,
                                         const float *weights, const struct batch *batch,
                                         float *logits, struct error *error);
/* Logits of the sequence label of every sequence, no dropout: `logits` (B, 2). STATUS_INPUT if the family has none. */
MUST_CHECK enum status model_sequence_logits(struct model *model, const float *weights,
                                             const struct batch *batch, float *logits,
                                             struct error *error);
/* Hidden states, no dropout: `hidden` (N, C) of `layer` 0 (what enters the first layer) to L (what
 * leaves the last, after the final LayerNorm if there is one), as Hugging Face's hidden_states
 * counts them. A permuted batch has K rows more, behind the tokens': the query stream. */
MUST_CHECK enum status model_hidden(struct model *model, const float *weights,
                                    const struct batch *batch, int64_t layer, float *hidden,
                                    struct error *error);

/* One section of a pipeline: a slot goes through model_section_forward (not in the last section) and later
 * model_section_backward, in the same set of activations, with the same batch, up to section_slots_in_flight at once.
 * All sections together do what model_train does, with the same bits, but for the embeddings' group: the last section
 * hands over its part of that gradient and the first the rest; each element is in one of them. */
const struct section *model_section(const struct model *model);
const struct handover *model_handover(const struct model *model);
/* What enters the section (R, C): to be filled before forward; in the last before backward. Not in the first. */
float *model_entering(struct model *model, int64_t set);
/* handover.leaving is written, of it *element_count elements. */
MUST_CHECK enum status model_section_forward(struct model *model, int64_t set, bool trains,
                                             const float *weights, const struct batch *batch,
                                             int64_t *element_count, struct error *error);
/* Reads handover.d_leaving, writes *element_count elements of handover.d_entering. `words` (N, E), one of
 * handover.words: written by the last, read by the first section. The result is the last's; zero elsewhere. */
MUST_CHECK enum status model_section_backward(struct model *model, int64_t set,
                                              const float *weights, const struct batch *batch,
                                              float loss_scale, float *words,
                                              const struct gradient_sink *sink,
                                              struct model_result *result, int64_t *element_count,
                                              struct error *error);

#endif
