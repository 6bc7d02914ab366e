/* See model.h. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/activations.h"
#include "model/attention_cache.h"
#include "model/encoder.h"
#include "model/family.h"
#include "model/head_pair.h"
#include "model/needed.h"
#include "model/objective.h"
#include "model/pass.h"

struct model {
    const struct kernels *kernels;
    struct model_options options;
    struct batch_limits limits;
    struct model_role role;
    bool relative; /* attention by distance */
    struct parameter_table table;
    struct activations activations;
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

enum status model_open(struct model **model, const struct kernels *kernels,
                       const struct model_options *options, const struct batch_limits *limits,
                       const struct model_role *role, struct error *error)
{
    INVARIANT(limits_hold(limits));
    *model = NULL;
    const struct model_role used = role_used(role);
    struct parameter_table table;
    TRY(parameter_table_init(&table, options, error));
    struct model *const opened = memory_take(1, sizeof *opened, "model");
    opened->kernels = kernels;
    opened->options = *options;
    opened->limits = *limits;
    opened->role = used;
    opened->relative = family_find(options)->relative;
    opened->table = table;
    activations_open(&opened->activations, kernels, options, &opened->table, limits, &used);
    *model = opened;
    return STATUS_OK;
}

void model_close(struct model *model)
{
    if (model != NULL) {
        activations_close(&model->activations);
        parameter_table_deinit(&model->table);
        memory_release(model);
    }
}

const struct parameter_table *model_table(const struct model *model)
{
    return &model->table;
}

enum status model_work_bytes(const struct kernels *kernels, const struct model_options *options,
                             const struct batch_limits *limits, const struct model_role *role,
                             int64_t *bytes, struct error *error)
{
    INVARIANT(limits_hold(limits));
    const struct model_role used = role_used(role);
    struct parameter_table table;
    TRY(parameter_table_init(&table, options, error));
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
    const double behind = c * c + inner; /* the attention of the last layer: needed.h */
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
    const double needed =
        needed_is_part(options, batch) ? (double)batch->target_count : (double)batch->token_count;
    return 6.0 * (double)batch->token_count * (matrices - behind) + 6.0 * needed * behind +
           6.0 * queries * (matrices - layers * 2.0 * c * c) + 12.0 * layers * c * squares +
           6.0 * (double)batch->target_count * (head + e * (double)options->vocabulary);
}

/* Sizes within the limits and sequences that cover the rows: what the code that made the batch must
 * have kept. */
static void batch_check_shape(const struct model *model, const struct batch *batch)
{
    INVARIANT(batch->sequence_count >= 1 && batch->sequence_count <= model->limits.sequence_count);
    INVARIANT(batch->token_count >= 1 && batch->token_count <= model->limits.token_count);
    INVARIANT(batch->target_count >= 0 && batch->target_count <= model->limits.target_count);
    INVARIANT(batch->starts[0] == 0);
    INVARIANT(batch->starts[batch->sequence_count] == batch->token_count);
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        INVARIANT(batch->starts[b] < batch->starts[b + 1]);
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        const int32_t row = batch->target_rows[k];
        INVARIANT(row >= 0 && row < batch->token_count);
        INVARIANT(k == 0 || batch->target_rows[k - 1] < row);
    }
}

/* What each row sees lies in its own sequence. */
static void batch_check_visible(const struct batch *batch)
{
    for (int64_t b = 0; b < batch->sequence_count && batch->visible_lists != NULL; b++) {
        const int32_t length = batch->starts[b + 1] - batch->starts[b];
        for (int64_t row = batch->starts[b]; row < batch->starts[b + 1]; row++) {
            const int32_t first = batch->visible_lists[2 * row];
            const int32_t end = batch->visible_lists[2 * row + 1];
            int32_t behind = -1;
            INVARIANT(first >= 0 && first < end);
            for (int64_t i = first; i < end; i++) {
                const int32_t *const interval = batch->visible_intervals + 2 * i;
                INVARIANT(interval[0] > behind && interval[0] < interval[1]);
                INVARIANT(interval[1] <= length);
                behind = interval[1];
            }
        }
    }
}

static enum status index_check(const char *what, int32_t value, int64_t count, int64_t row,
                               struct error *error)
{
    if (value < 0 || value >= count) {
        FAIL(error, STATUS_INPUT, "%s %d at row %lld of a batch is outside the model's 0 to %lld",
             what, (int)value, (long long)row, (long long)(count - 1));
    }
    return STATUS_OK;
}

/* What the optional heads read. */
static void batch_check_heads(const struct model *model, const struct batch *batch)
{
    for (int64_t b = 0; b < batch->sequence_count && batch->sequence_labels != NULL; b++) {
        INVARIANT(batch->sequence_labels[b] >= -1 && batch->sequence_labels[b] < HEAD_PAIR_LABELS);
    }
    if (model->options.family != MODEL_FAMILY_SPANBERT || batch->left_rows == NULL) {
        return;
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        if (batch->left_rows[k] >= 0) {
            INVARIANT(batch->left_rows[k] < batch->target_rows[k]);
            INVARIANT(batch->right_rows[k] > batch->target_rows[k]);
            INVARIANT(batch->right_rows[k] < batch->token_count);
            INVARIANT(batch->span_places[k] >= 0);
        }
    }
}

/* What attention by distance reads: orders that are all there, chains that keep their direction. */
static void batch_check_streams(const struct model *model, const struct batch *batch)
{
    INVARIANT(model->relative || !(batch->permuted || batch->chained || batch->recalled != NULL));
    for (int64_t b = 1; b < batch->sequence_count && batch->chained; b++) {
        INVARIANT(batch->continues[b] == 0 || batch->reversed[b] == batch->reversed[b - 1]);
    }
}

/* Table indexes come from data: another tokenizer or longer sequences than the model's must not
 * read wild memory. */
static enum status batch_check(const struct model *model, const struct batch *batch,
                               struct error *error)
{
    batch_check_shape(model, batch);
    batch_check_visible(batch);
    batch_check_streams(model, batch);
    const struct model_options *const options = &model->options;
    for (int64_t i = 0; i < batch->token_count; i++) {
        TRY(index_check("token id", batch->ids[i], options->vocabulary, i, error));
        TRY(index_check("position", batch->positions[i], options->positions, i, error));
        if (batch->segments != NULL) {
            TRY(index_check("segment", batch->segments[i], options->type_vocabulary, i, error));
        }
    }
    for (int64_t b = 0; b < batch->sequence_count; b++) {
        const int64_t length = batch->starts[b + 1] - batch->starts[b];
        if (length > options->positions) {
            FAIL(error, STATUS_INPUT,
                 "sequence %lld of a batch has %lld tokens, the model %lld positions", (long long)b,
                 (long long)length, (long long)options->positions);
        }
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        TRY(index_check("target id", batch->target_ids[k], options->vocabulary,
                        batch->target_rows[k], error));
    }
    batch_check_heads(model, batch);
    return STATUS_OK;
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
                        .trains = trains};
    if (model->relative) {
        pass.streams = model->activations.relative.streams;
        streams_plan(&pass.streams, &model->options, batch);
        pass.row_count += pass.streams.query_count;
        pass.target_rows = batch->permuted ? pass.streams.query_rows : pass.target_rows;
    }
    needed_plan(&pass, model->activations.needed_rows);
    return pass;
}

static enum status sink_take(const struct gradient_sink *sink,
                             const struct group_gradient *gradient, struct error *error)
{
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
static enum status layer_train(const struct model *model, const struct pass *pass, int64_t layer,
                               const struct gradient_sink *sink, struct error *error)
{
    const struct parameter_table *const table = &model->table;
    struct layer_gradient gradient;
    for (int half = 0; half < PARAMETER_HALVES; half++) {
        const int64_t group = parameter_layer_group(table, layer, (enum parameter_half)half);
        gradient.halves[half] = (struct group_gradient){group, model->activations.gradients[group],
                                                        layer < table->groups[group].highest_layer};
    }
    encoder_backward_layer(pass, &model->activations, layer, &gradient);
    for (int half = PARAMETER_HALVES - 1; half >= 0; half--) {
        const int64_t group = gradient.halves[half].group;
        const bool taken = half < PARAMETER_HALVES - 1 && group == gradient.halves[half + 1].group;
        if (layer == table->groups[group].lowest_layer && !taken) {
            TRY(sink_take(sink, &gradient.halves[half], error));
        }
    }
    return STATUS_OK;
}

enum status model_train(struct model *model, const float *weights, const struct batch *batch,
                        float loss_scale, const struct gradient_sink *sink,
                        struct model_result *result, struct error *error)
{
    INVARIANT(model->role.trains);
    INVARIANT(loss_scale > 0.0F && isfinite(loss_scale));
    TRY(batch_check(model, batch, error));
    const struct activations *const activations = &model->activations;
    const struct pass pass = pass_make(model, weights, batch, true);
    const int64_t head = parameter_head_group(&model->table);
    const int64_t embeddings = parameter_embedding_group(&model->table);
    const struct objective_gradient objective = {
        .d_hidden = encoder_hidden_gradient(&pass, activations),
        .head = {head, activations->gradients[head], false},
        .embeddings = {embeddings, activations->gradients[embeddings], false},
        .loss_scale = loss_scale,
    };
    struct objective_score score = {0};
    const float *const hidden = encoder_forward(&pass, activations, model->options.layers);
    objective_backward(&pass, activations, hidden, &objective, &score);
    encoder_backward_final(&pass, activations, &objective.head);
    parameter_gate_head_done(pass.gate, &model->table);
    TRY(sink_take(sink, &objective.head, error));
    parameter_gate_turn(pass.gate, &model->table, model->options.layers);
    for (int64_t layer = model->options.layers - 1; layer >= 0; layer--) {
        TRY(layer_train(model, &pass, layer, sink, error));
    }
    encoder_backward_embedding(&pass, activations, &objective.embeddings);
    TRY(sink_take(sink, &objective.embeddings, error));
    *result = result_make(&score);
    return STATUS_OK;
}

enum status model_evaluate(struct model *model, const float *weights, const struct batch *batch,
                           struct model_result *result, struct error *error)
{
    TRY(batch_check(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    struct objective_score score = {0};
    objective_score(&pass, &model->activations,
                    encoder_forward(&pass, &model->activations, model->options.layers), &score);
    parameter_gate_head_done(pass.gate, &model->table);
    *result = result_make(&score);
    return STATUS_OK;
}

void model_gate(struct model *model, const struct parameter_gate *gate)
{
    model->gate = gate;
}

/* Backward of model_attend, in model_train's order. */
static enum status backward_attend(const struct model *model, const struct gradient_sink *sink,
                                   struct error *error)
{
    const struct parameter_table *const table = &model->table;
    TRY(sink->take(sink->context, parameter_head_group(table), NULL, error));
    parameter_gate_turn(model->gate, table, model->options.layers);
    for (int64_t layer = model->options.layers - 1; layer >= 0; layer--) {
        parameter_gate_down(model->gate, table, layer);
        parameter_gate_down_done(model->gate, table, layer);
        for (int half = PARAMETER_HALVES - 1; half >= 0; half--) {
            const int64_t group = parameter_layer_group(table, layer, (enum parameter_half)half);
            const bool taken = half == 0 && group == parameter_layer_group(
                                                         table, layer, PARAMETER_HALF_FEED_FORWARD);
            if (layer == table->groups[group].lowest_layer && !taken) {
                TRY(sink->take(sink->context, group, NULL, error));
            }
        }
    }
    parameter_gate_embeddings(model->gate, table, false);
    parameter_gate_embeddings_done(model->gate, table);
    return sink->take(sink->context, parameter_embedding_group(table), NULL, error);
}

enum status model_attend(const struct model *model, const struct gradient_sink *sink,
                         struct error *error)
{
    const struct parameter_table *const table = &model->table;
    const int64_t layers = model->options.layers;
    parameter_gate_embeddings(model->gate, table, true);
    parameter_gate_embeddings_done(model->gate, table);
    for (int64_t layer = 0; layer < layers; layer++) {
        parameter_gate_up(model->gate, table, layer, layers);
        parameter_gate_up_done(model->gate, table, layer);
    }
    parameter_gate_head(model->gate, table);
    parameter_gate_head_done(model->gate, table);
    return sink == NULL ? STATUS_OK : backward_attend(model, sink, error);
}

enum status model_logits(struct model *model, const float *weights, const struct batch *batch,
                         float *logits, struct error *error)
{
    TRY(batch_check(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    objective_logits(&pass, &model->activations,
                     encoder_forward(&pass, &model->activations, model->options.layers), logits);
    return STATUS_OK;
}

enum status model_logits_next(struct model *model, struct attention_cache *cache,
                              const float *weights, const struct batch *batch, float *logits,
                              struct error *error)
{
    const struct family *const family = family_find(&model->options);
    INVARIANT(family != NULL && family->causal && batch->sequence_count == 1);
    TRY(batch_check(model, batch, error));
    for (int64_t i = 0; i < batch->token_count; i++) {
        INVARIANT(batch->positions[i] == cache->count + i);
    }
    struct pass pass = pass_make(model, weights, batch, false);
    pass.cache = cache;
    objective_logits(&pass, &model->activations,
                     encoder_forward(&pass, &model->activations, model->options.layers), logits);
    cache->count += batch->token_count;
    return STATUS_OK;
}

enum status model_sequence_logits(struct model *model, const float *weights,
                                  const struct batch *batch, float *logits, struct error *error)
{
    TRY(batch_check(model, batch, error));
    const struct pass pass = pass_make(model, weights, batch, false);
    const float *const hidden = encoder_forward(&pass, &model->activations, model->options.layers);
    if (!objective_sequence_logits(&pass, &model->activations, hidden, logits)) {
        FAIL(error, STATUS_INPUT, "this family of models does not label sequences");
    }
    return STATUS_OK;
}

enum status model_hidden(struct model *model, const float *weights, const struct batch *batch,
                         int64_t layer, float *hidden, struct error *error)
{
    INVARIANT(layer >= 0 && layer <= model->options.layers);
    TRY(batch_check(model, batch, error));
    struct pass pass = pass_make(model, weights, batch, false);
    pass.needed_rows = NULL; /* all are asked for */
    const float *const state = encoder_forward(&pass, &model->activations, layer);
    memcpy(hidden, state, (size_t)(pass.row_count * model->options.hidden) * sizeof *hidden);
    return STATUS_OK;
}
