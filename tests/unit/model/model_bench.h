/* A tiny model with weights in which every tensor matters, a tiny batch with something for every head, and gradients
 * against finite differences: what the tests of model/ share. */
#ifndef SHARDLM_TESTS_UNIT_MODEL_MODEL_BENCH_H
#define SHARDLM_TESTS_UNIT_MODEL_MODEL_BENCH_H

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "tests/support/suite.h"

static inline struct model_options options_tiny(enum model_norm norm, double dropout)
{
    return (struct model_options){.activation = MODEL_ACTIVATION_GELU,
                                  .norm = norm,
                                  .layers = 2,
                                  .hidden = 15,
                                  .heads = 3,
                                  .feed_forward = 22,
                                  .positions = 12,
                                  .position_offset = 2,
                                  .vocabulary = 41,
                                  .type_vocabulary = 2,
                                  .pad_id = 1,
                                  .dropout = dropout,
                                  .attention_dropout = dropout,
                                  .norm_epsilon = 1e-5,
                                  .init_range = 0.02};
}

/* The published shape of each family but RoBERTa, as tiny as that. */
static inline struct model_options family_tiny(enum model_family family, double dropout)
{
    const bool gpt = family == MODEL_FAMILY_GPT;
    struct model_options options = options_tiny(gpt ? MODEL_NORM_PRE : MODEL_NORM_POST, dropout);
    options.family = family;
    options.position_offset = 0;
    options.pad_id = gpt ? -1 : 0;
    if (family == MODEL_FAMILY_ALBERT) {
        options.embedding_width = 9;
        options.share = MODEL_SHARE_ALL;
    }
    if (gpt || family == MODEL_FAMILY_ALBERT) {
        options.activation = MODEL_ACTIVATION_GELU_TANH;
    }
    if (family == MODEL_FAMILY_SPANBERT) {
        options.span_positions = 5;
        options.span_position_width = 6;
    }
    return options;
}

static const struct batch_limits limits_tiny = {4, 40, 16};
static const int32_t lengths_tiny[] = {7, 12, 3};
static const int32_t labels_tiny[] = {1, -1, 0};

/* Sequence `b` of the tiny batch, appended; every third row is predicted, most of them from boundaries too. */
static inline void batch_append(struct batch *batch, int64_t b)
{
    const struct random_key key = random_key_make(5, RANDOM_PURPOSE_TEST, 0);
    for (int32_t t = 0; t < lengths_tiny[b]; t++) {
        const int64_t row = batch->token_count++;
        const struct random_block block = random_at(key, (uint64_t)b, (uint64_t)t);
        batch->ids[row] = (int32_t)(2 + block.word[0] % 39);
        batch->positions[row] = t;
        batch->segments[row] = t % 2;
        if (t % 3 == 1) {
            if (t != 4) {
                batch->left_rows[batch->target_count] = (int32_t)row - 1;
                batch->right_rows[batch->target_count] = (int32_t)row + 1;
                batch->span_places[batch->target_count] = t / 3;
            }
            batch->target_rows[batch->target_count] = (int32_t)row;
            batch->target_ids[batch->target_count++] = (int32_t)(block.word[1] % 41);
        }
    }
    batch->sequence_labels[b] = labels_tiny[b];
    batch->starts[++batch->sequence_count] = (int32_t)batch->token_count;
}

static inline struct batch batch_within(const struct batch_limits *limits)
{
    struct batch batch;
    batch_init(&batch, limits);
    batch.starts[0] = 0;
    for (int64_t b = 0; b < ARRAY_LENGTH(lengths_tiny); b++) {
        batch_append(&batch, b);
    }
    batch.sequence_weight = 1.75F;
    batch.dropout_key = random_key_make(9, RANDOM_PURPOSE_DROPOUT, 4);
    return batch;
}

static inline struct batch batch_tiny(void)
{
    return batch_within(&limits_tiny);
}

/* A model with weights in which every tensor matters, and a place for its gradient. */
struct bench {
    struct kernels kernels;
    struct model *model;
    const struct parameter_table *table;
    float *weights;
    float *gradient;
    int64_t groups[16]; /* as handed over */
    int64_t group_count;
};

/* `bench` stays where it is until bench_close: the model keeps the address of its kernels. */
static inline void bench_open_role(struct bench *bench, enum kernels_level level,
                                   const struct model_options *options,
                                   const struct batch_limits *limits,
                                   const struct model_role *role)
{
    struct error error = {0};
    *bench = (struct bench){.group_count = 0};
    CHECK_OK(kernels_open(&bench->kernels, level, &error), error);
    CHECK_OK(model_open(&bench->model, &bench->kernels, options, limits, role, &error), error);
    bench->table = model_table(bench->model);
    const size_t count = (size_t)bench->table->element_count;
    bench->weights = memory_take(count, sizeof *bench->weights, "test");
    bench->gradient = memory_take(count, sizeof *bench->gradient, "test");
    const struct random_key key = random_key_make(6, RANDOM_PURPOSE_TEST, 1);
    for (int64_t r = 0; r < bench->table->row_count; r++) {
        const struct parameter *const row = &bench->table->rows[r];
        for (int64_t i = 0; i < row->count; i++) {
            const double u = 2 * random_unit(random_at(key, (uint64_t)r, (uint64_t)i)) - 1;
            const double size = row->cols == 0 ? 0.2 : 0.45;
            const double middle = row->init == PARAMETER_INIT_ONE ? 1.0 : 0.0;
            bench->weights[row->offset + i] = (float)(middle + size * u);
        }
    }
}

static inline void bench_open(struct bench *bench, enum kernels_level level,
                              const struct model_options *options,
                              const struct batch_limits *limits)
{
    const struct model_role role = {.trains = true};
    bench_open_role(bench, level, options, limits, &role);
}

static inline void bench_close(struct bench *bench)
{
    memory_release(bench->gradient);
    memory_release(bench->weights);
    model_close(bench->model);
}

static inline enum status bench_take(void *context, int64_t group, const float *gradient,
                                     struct error *error)
{
    struct bench *const bench = context;
    const struct parameter_group *const place = &bench->table->groups[group];
    const struct gradient_blocks blocks = model_gradient_blocks(bench->model)[group];
    (void)error;
    for (int64_t b = 0; b < blocks.count; b++) {
        const struct gradient_block *const block = &blocks.blocks[b];
        for (int64_t row = 0; row < block->rows; row++) {
            memcpy(bench->gradient + place->offset + block->first + row * block->stride,
                   gradient + block->local + row * block->local_stride,
                   (size_t)block->width * sizeof *gradient);
        }
    }
    if (bench->group_count < ARRAY_LENGTH(bench->groups)) {
        bench->groups[bench->group_count++] = group;
    }
    return STATUS_OK;
}

static inline struct model_result bench_train(struct bench *bench, const struct batch *batch)
{
    struct error error = {0};
    struct model_result result;
    const struct gradient_sink sink = {bench_take, bench};
    bench->group_count = 0;
    CHECK_OK(model_train(bench->model, bench->weights, batch, 1.0F, &sink, &result, &error), error);
    return result;
}

/* What the gradient is the slope of. */
static inline double bench_loss(struct bench *bench, const struct batch *batch)
{
    const struct model_result result = bench_train(bench, batch);
    return result.loss_sum + (double)batch->sequence_weight * result.sequence_loss_sum +
           result.span_loss_sum;
}

/* Loss along `direction` (in tensor `row`), a step of `size` from the present weights. */
static inline double loss_at(struct bench *bench, const struct batch *batch,
                             const struct parameter *row, const double *direction, double size)
{
    float *const weights = bench->weights + row->offset;
    float *const before = memory_take((size_t)row->count, sizeof *before, "test");
    memcpy(before, weights, (size_t)row->count * sizeof *before);
    for (int64_t i = 0; i < row->count; i++) {
        weights[i] = (float)((double)before[i] + size * direction[i]);
    }
    const double loss = bench_loss(bench, batch);
    memcpy(weights, before, (size_t)row->count * sizeof *before);
    memory_release(before);
    return loss;
}

/* Compares the slope along a unit direction with central differences of two step sizes h and 2h, combined so that the
 * h² term cancels. A float loss of about 60 in 16 terms is good to about 4e-6, so the difference quotient to 4e-6 / h
 * = 5e-4; the h⁴ term, h⁴/30 times the fifth derivative, is below that with h = 2^-7 unless the derivative passes
 * 10^6. */
static inline void check_slope(struct bench *bench, const struct batch *batch,
                               const struct parameter *row, const double *direction, double slope)
{
    const double h = 0x1p-7;
    const double near =
        (loss_at(bench, batch, row, direction, h) - loss_at(bench, batch, row, direction, -h)) /
        (2 * h);
    const double far = (loss_at(bench, batch, row, direction, 2 * h) -
                        loss_at(bench, batch, row, direction, -2 * h)) /
                       (4 * h);
    const double measured = (4 * near - far) / 3;
    ck_assert_msg(fabs(measured - slope) <= 1e-3 + 1e-3 * fabs(slope),
                  "%s: gradient says %.6f, differences %.6f", row->name, slope, measured);
}

/* Along the gradient itself (any part that should not be there shows as too steep a slope), and along random signs. */
static inline void check_tensor(struct bench *bench, const struct batch *batch,
                                const float *gradient, const struct parameter *row)
{
    double *const direction = memory_take((size_t)row->count, sizeof *direction, "test");
    double square = 0;
    for (int64_t i = 0; i < row->count; i++) {
        square += (double)gradient[row->offset + i] * (double)gradient[row->offset + i];
    }
    const double size = sqrt(square);
    for (int64_t i = 0; i < row->count && size > 0; i++) {
        direction[i] = (double)gradient[row->offset + i] / size;
    }
    check_slope(bench, batch, row, direction, size);
    const struct random_key key = random_key_make(8, RANDOM_PURPOSE_TEST, (uint64_t)row->offset);
    double slope = 0;
    for (int64_t i = 0; i < row->count; i++) {
        const double sign = random_at(key, 0, (uint64_t)i).word[0] % 2 == 0 ? 1 : -1;
        direction[i] = sign / sqrt((double)row->count);
        slope += direction[i] * (double)gradient[row->offset + i];
    }
    check_slope(bench, batch, row, direction, slope);
    memory_release(direction);
}

static inline void check_gradients_role(const struct model_options *options,
                                        const struct model_role *role, const struct batch *batch)
{
    struct bench bench;
    bench_open_role(&bench, KERNELS_LEVEL_REFERENCE, options, &limits_tiny, role);
    (void)bench_train(&bench, batch);
    const size_t count = (size_t)bench.table->element_count;
    float *const gradient = memory_take(count, sizeof *gradient, "test");
    memcpy(gradient, bench.gradient, count * sizeof *gradient);
    for (int64_t r = 0; r < bench.table->row_count; r++) {
        check_tensor(&bench, batch, gradient, &bench.table->rows[r]);
    }
    memory_release(gradient);
    bench_close(&bench);
}

static inline void check_gradients_of(const struct model_options *options,
                                      const struct batch *batch)
{
    const struct model_role role = {.trains = true};
    check_gradients_role(options, &role, batch);
}

static inline void check_gradients(const struct model_options *options)
{
    struct batch batch = batch_tiny();
    check_gradients_of(options, &batch);
    batch_deinit(&batch);
}

#endif
