/* See model.h. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/activations.h"
#include "model/attention_cache.h"
#include "model/batch_check.h"
#include "model/cut_groups.h"
#include "model/encoder.h"
#include "model/family.h"
#include "model/needed.h"
#include "model/objective.h"
#include "model/word_rows.h"

struct model {
    const struct kernels *kernels;
    struct model_options options;
    struct batch_limits limits;
    struct model_role role;
    bool relative; /* attention by distance */
    struct parameter_table table;
    struct activations *activations;   /* one for each slot in flight */
    const struct parameter_gate *gate; /* or NULL */
};

static bool limits_hold(const struct batch_limits *limits)
{
    return limits->sequence_count >= 1 && limits->token_count >= 1 && limits->target_count >= 0 &&
           limits->token_count < INT32_MAX && limits->sequence_count <= limits->token_count &&
           limits->target_count <= limits->token_count;
}

static struct model_role role_used(const struct model_role *role)
{
    return role == NULL ? (struct model_role){.trains = false} : *role;
}

enum status model_role_check(const struct model_options *options, const struct model_role *role,
                             struct error *error)
{
    const long long v = role->tensor_parts == 0 ? 1 : role->tensor_parts;
    if (v < 1 || v > PARTS_MAX || (v & (v - 1)) != 0) {
        FAIL(error, STATUS_INPUT,
             "numerics.tensor_parts is %lld; it must be a power of two up to %d", v, PARTS_MAX);
    }
    if (v > 1 && family_find(options)->relative) {
        FAIL(error, STATUS_INPUT,
             "numerics.tensor_parts is %lld; attention by distance (XLNet) cannot be cut, so it "
             "must be 1",
             v);
    }
    if (options->heads % v != 0 || options->feed_forward % v != 0) {
        FAIL(error, STATUS_INPUT,
             "numerics.tensor_parts is %lld; it must divide the model's %lld heads and its "
             "feed-forward width %lld",
             v, (long long)options->heads, (long long)options->feed_forward);
    }
    if (options->vocabulary < v) {
        FAIL(error, STATUS_INPUT, "numerics.tensor_parts is %lld, the vocabulary only %lld", v,
             (long long)options->vocabulary);
    }
    return STATUS_OK;
}

/* The table, if the role can be. */
static enum status table_make(struct parameter_table *table, const struct model_options *options,
                              const struct model_role *role, struct error *error)
{
    TRY(parameter_table_init(table, options, error));
    enum status status =
        section_check(options, role->section_count > 1 ? role->section_count : 1, error);
    if (status == STATUS_OK) {
        status = model_role_check(options, role, error);
    }
    if (status != STATUS_OK) {
        parameter_table_deinit(table);
    }
    return status;
}

enum status model_open(struct model **model, const struct kernels *kernels,
                       const struct model_options *options, const struct batch_limits *limits,
                       const struct model_role *role, struct error *error)
{
    INVARIANT(limits_hold(limits));
    *model = NULL;
    const struct model_role used = role_used(role);
    struct parameter_table table;
    TRY(table_make(&table, options, &used, error));
    struct model *const opened = memory_take(1, sizeof *opened, "model");
    opened->kernels = kernels;
    opened->options = *options;
    opened->limits = *limits;
    opened->role = used;
    opened->relative = family_find(options)->relative;
    opened->table = table;
    opened->activations = memory_take((size_t)activations_sets(options, limits, &used),
                                      sizeof *opened->activations, "model");
    activations_open(opened->activations, kernels, options, &opened->table, limits, &used);
    *model = opened;
    return STATUS_OK;
}

void model_close(struct model *model)
{
    if (model != NULL) {
        activations_close(model->activations);
        memory_release(model->activations);
        parameter_table_deinit(&model->table);
        memory_release(model);
    }
}

const struct parameter_table *model_table(const struct model *model)
{
    return &model->table;
}

const struct gradient_blocks *model_gradient_blocks(const struct model *model)
{
    return model->activations->blocks;
}

enum status model_work_bytes(const struct kernels *kernels, const struct model_options *options,
                             const struct batch_limits *limits, const struct model_role *role,
                             int64_t *bytes, struct error *error)
{
    INVARIANT(limits_hold(limits));
    const struct model_role used = role_used(role);
    struct parameter_table table;
    TRY(table_make(&table, options, &used, error));
    *bytes = activations_bytes(kernels, options, &table, limits, &used);
    parameter_table_deinit(&table);
    return STATUS_OK;
}

double model_train_flops(const struct model_options *options, const struct batch *batch)
{
    const double c = (double)options->hidden;
    const double e = (double)model_embedding_width(options);
    const double layers = (double)options->layers;
    const double inner = 2.0 * c * (double)options->feed_forward;
    const double matrices = layers * (4.0 * c * c + inner);
    const double asking = 2.0 * c * c + inner; /* of the last layer, for needed rows: needed.h */
    const struct family *const family = family_find(options);
    INVARIANT(family != NULL);
    const bool transforms = !family->relative && options->family != MODEL_FAMILY_GPT;
    const double head = transforms ? c * e : 0.0;
    const double queries = batch->permuted ? (double)batch->target_count : 0.0;
    double squares = 0.0;
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        const double length = (double)(batch->starts[b + 1] - batch->starts[b]);
        squares += length * length;
    }
    const double tokens = (double)batch->token_count;
    const double needed = needed_is_part(options, batch) ? (double)batch->target_count : tokens;
    const double share = tokens > 0 ? needed / tokens : 1.0;
    return 6.0 * tokens * (matrices - asking) + 6.0 * needed * asking +
           6.0 * queries * (matrices - layers * 2.0 * c * c) +
           12.0 * (layers - 1.0 + share) * c * squares +
           6.0 * (double)batch->target_count * (head + e * (double)options->vocabulary);
}

static enum status batch_fits(const struct model *model, const struct batch *batch,
                              struct error *error)
{
    const struct batch_bounds bounds = {&model->options, &model->limits, model->relative};
    return batch_check(&bounds, batch, error);
}

static struct pass pass_make(const struct model *model, const float *weights,
                             const struct batch *batch, bool trains)
{
    struct pass pass = {.kernels = model->kernels,
                        .options = &model->options,
                        .table = &model->table,
                        .batch = batch,
                        .weights = weights,
                        .gate = model->gate,
                        .row_count = batch->token_count,
                        .target_rows = batch->target_rows,
                        .visibility = {batch->visible_lists, batch->visible_intervals},
                        .parts = &model->activations->parts,
                        .trains = trains};
    if (model->relative) {
        pass.streams = model->activations->relative.streams;
        streams_plan(&pass.streams, &model->options, batch);
        pass.row_count += pass.streams.query_count;
        pass.target_rows = batch->permuted ? pass.streams.query_rows : pass.target_rows;
    }
    needed_plan(&pass, model->activations->needed_rows);
    return pass;
}

/* A group is complete: what this member has of it. */
static enum status sink_take(const struct pass *pass, const struct gradient_sink *sink,
                             const struct group_gradient *gradient, struct error *error)
{
    TRY(parts_check(pass->parts, error));
    return sink->take(sink->context, gradient->group, gradient->values, error);
}

static struct model_result result_make(const struct objective_score *score)
{
    return (struct model_result){.loss_sum = score->tokens.loss_sum,
                                 .target_count = score->tokens.count,
                                 .correct_count = score->tokens.correct_count,
                                 .sequence_loss_sum = score->sequences.loss_sum,
                                 .sequence_count = score->sequences.count,
                                 .sequence_correct_count = score->sequences.correct_count,
                                 .span_loss_sum = score->spans.loss_sum,
                                 .span_count = score->spans.count,
                                 .span_correct_count = score->spans.correct_count};
}

/* Backward through `layer`; hands over the groups that it completes. */
static enum status layer_train(const struct activations *activations, const struct pass *pass,
                               int64_t layer, const struct gradient_sink *sink, struct error *error)
{
    const struct parameter_table *const table = pass->table;
    struct layer_gradient gradient;
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        const int64_t group = parameter_layer_group(table, layer, (enum parameter_half)half);
        gradient.halves[half] = (struct group_gradient){group, activations->gradients[group],
                                                        layer < table->groups[group].highest_layer};
    }
    encoder_backward_layer(pass, activations, layer, &gradient);
    for (int half = PARAMETER_HALVES - 1; half >= 0; half--) {
        const int64_t group = gradient.halves[half].group;
        const bool taken = half < PARAMETER_HALVES - 1 && group == gradient.halves[half + 1].group;
        if (layer == table->groups[group].lowest_layer && !taken) {
            TRY(sink_take(pass, sink, &gradient.halves[half], error));
        }
    }
    return STATUS_OK;
}

/* From the loss to the gradient of what leaves the last layer. */
static enum status heads_train(const struct activations *activations, const struct pass *pass,
                               const float *hidden, const struct objective_gradient *objective,
                               float *words, const struct gradient_sink *sink,
                               struct model_result *result, struct error *error)
{
    struct objective_score score = {0};
    objective_backward(pass, activations, hidden, objective, &score);
    encoder_backward_final(pass, activations, &objective->head);
    parameter_gate_head_done(pass->gate, pass->table);
    *result = result_make(&score);
    TRY(sink_take(pass, sink, &objective->head, error));
    if (section_is_first(&activations->section)) {
        return STATUS_OK;
    }
    word_rows_give(pass, &objective->embeddings, words);
    return sink_take(pass, sink, &objective->embeddings, error);
}

/* Backward of the section. `hidden`: what left its forward, if it is the last. */
static enum status section_train(const struct activations *activations, const struct pass *pass,
                                 const float *hidden, float loss_scale, float *words,
                                 const struct gradient_sink *sink, struct model_result *result,
                                 struct error *error)
{
    const struct section *const section = &activations->section;
    const int64_t head = parameter_head_group(pass->table);
    const int64_t embeddings = parameter_embedding_group(pass->table);
    const struct objective_gradient objective = {
        .d_hidden = encoder_hidden_gradient(pass, activations),
        .head = {head, activations->gradients[head], false},
        .embeddings = {embeddings, activations->gradients[embeddings], false},
        .loss_scale = loss_scale,
    };
    *result = (struct model_result){0};
    if (section_is_last(section)) {
        TRY(heads_train(activations, pass, hidden, &objective, words, sink, result, error));
    }
    parameter_gate_turn(pass->gate, pass->table, section);
    for (int64_t layer = section->end_layer - 1; layer >= section->first_layer; layer--) {
        TRY(layer_train(activations, pass, layer, sink, error));
    }
    if (!section_is_first(section)) {
        return STATUS_OK;
    }
    if (!section_is_last(section)) {
        word_rows_take(pass, &objective.embeddings, words);
    }
    encoder_backward_embedding(pass, activations, &objective.embeddings);
    return sink_take(pass, sink, &objective.embeddings, error);
}

enum status model_train(struct model *model, const float *weights, const struct batch *batch,
                        float loss_scale, const struct gradient_sink *sink,
                        struct model_result *result, struct error *error)
{
    INVARIANT(model->role.trains && model->activations->section.count == 1);
    INVARIANT(loss_scale > 0.0F && isfinite(loss_scale));
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, true);
    const float *const hidden = encoder_forward(&pass, model->activations, model->options.layers);
    return section_train(model->activations, &pass, hidden, loss_scale, NULL, sink, result, error);
}

enum status model_evaluate(struct model *model, const float *weights, const struct batch *batch,
                           struct model_result *result, struct error *error)
{
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    struct objective_score score = {0};
    objective_score(&pass, model->activations,
                    encoder_forward(&pass, model->activations, model->options.layers), &score);
    parameter_gate_head_done(pass.gate, &model->table);
    TRY(parts_check(pass.parts, error));
    *result = result_make(&score);
    return STATUS_OK;
}

void model_gate(struct model *model, const struct parameter_gate *gate)
{
    model->gate = gate;
}

enum status model_logits(struct model *model, const float *weights, const struct batch *batch,
                         float *logits, struct error *error)
{
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    objective_logits(&pass, model->activations,
                     encoder_forward(&pass, model->activations, model->options.layers), logits);
    return STATUS_OK;
}

enum status model_logits_next(struct model *model, struct attention_cache *cache,
                              const float *weights, const struct batch *batch, float *logits,
                              struct error *error)
{
    const struct family *const family = family_find(&model->options);
    INVARIANT(family != NULL && family->causal && batch->sequence_count == 1);
    TRY(batch_fits(model, batch, error));
    for (int64_t i = 0; i < batch->token_count; i++) {
        INVARIANT(batch->positions[i] == cache->count + i);
    }
    struct pass pass = pass_make(model, weights, batch, false);
    pass.cache = cache;
    objective_logits(&pass, model->activations,
                     encoder_forward(&pass, model->activations, model->options.layers), logits);
    cache->count += batch->token_count;
    return STATUS_OK;
}

enum status model_sequence_logits(struct model *model, const float *weights,
                                  const struct batch *batch, float *logits, struct error *error)
{
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    const float *const hidden = encoder_forward(&pass, model->activations, model->options.layers);
    if (!objective_sequence_logits(&pass, model->activations, hidden, logits)) {
        FAIL(error, STATUS_INPUT, "this family of models does not label sequences");
    }
    return STATUS_OK;
}

enum status model_hidden(struct model *model, const float *weights, const struct batch *batch,
                         int64_t layer, float *hidden, struct error *error)
{
    INVARIANT(layer >= 0 && layer <= model->options.layers);
    TRY(batch_fits(model, batch, error));
    struct pass pass = pass_make(model, weights, batch, false);
    pass.needed_rows = NULL; /* all are asked for */
    const float *const state = encoder_forward(&pass, model->activations, layer);
    memcpy(hidden, state, (size_t)(pass.row_count * model->options.hidden) * sizeof *hidden);
    return STATUS_OK;
}

const struct handover *model_handover(const struct model *model)
{
    return &model->activations->handover;
}

const struct section *model_section(const struct model *model)
{
    return &model->activations->section;
}

float *model_entering(struct model *model, int64_t set)
{
    return model->activations[set].embedding.embedded;
}

enum status model_section_forward(struct model *model, int64_t set, bool trains,
                                  const float *weights, const struct batch *batch,
                                  int64_t *element_count, struct error *error)
{
    const struct activations *const activations = &model->activations[set];
    INVARIANT(!section_is_last(&activations->section));
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, trains);
    const float *const leaving =
        encoder_forward(&pass, activations, activations->section.end_layer);
    TRY(parts_check(pass.parts, error));
    *element_count = pass.row_count * model->options.hidden;
    memcpy(activations->handover.leaving, leaving, (size_t)*element_count * sizeof *leaving);
    return STATUS_OK;
}

enum status model_section_backward(struct model *model, int64_t set, const float *weights,
                                   const struct batch *batch, float loss_scale, float *words,
                                   const struct gradient_sink *sink, struct model_result *result,
                                   int64_t *element_count, struct error *error)
{
    const struct activations *const activations = &model->activations[set];
    const struct section *const section = &activations->section;
    const struct handover *const handover = &activations->handover;
    const float *hidden = NULL;
    TRY(batch_fits(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, true);
    const int64_t states = pass.row_count * model->options.hidden;
    float *const stream = encoder_stream_gradient(activations);
    if (section_is_last(section)) {
        hidden = encoder_forward(&pass, activations, model->options.layers);
    } else {
        memcpy(stream, handover->d_leaving, (size_t)states * sizeof *stream);
        cut_groups_take(&model->table, pass.parts, section->end_layer, activations->gradients,
                        handover->d_leaving + states);
    }
    TRY(section_train(activations, &pass, hidden, loss_scale, words, sink, result, error));
    *element_count = states + cut_groups_size(&model->table, pass.parts, section->first_layer);
    if (!section_is_first(section)) {
        memcpy(handover->d_entering, stream, (size_t)states * sizeof *stream);
        cut_groups_give(&model->table, pass.parts, section->first_layer, activations->gradients,
                        handover->d_entering + states);
    }
    return STATUS_OK;
}
