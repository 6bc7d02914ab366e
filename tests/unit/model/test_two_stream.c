/* model/: attention by distance: gradients of both streams against finite differences, what memory
 * is, and who sees what. Agreement with the reference library is tests/golden. */
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "tests/support/suite.h"
#include "tests/unit/model/stream_bench.h"

/* All states (L, N, C) of the batch's tokens, but for the last layer's output. */
static float *states_of(struct bench *bench, const struct model_options *options,
                        const struct batch *batch)
{
    struct error error = {0};
    const int64_t size = batch->token_count * options->hidden;
    float *const states =
        memory_take((size_t)((options->layers + 1) * 2 * size), sizeof *states, "states");
    for (int64_t layer = 0; layer < options->layers; layer++) {
        CHECK_OK(
            model_hidden(bench->model, bench->weights, batch, layer, states + layer * size, &error),
            error);
    }
    return states;
}

/* Gradients stop at what is remembered, so that the loss has this slope only while that stands
 * still. */
static void check_gradients_with_memory(double dropout, bool permuted, bool reversed)
{
    const struct model_options options = xlnet_tiny(dropout);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_chained(permuted, reversed);
    float *const states = states_of(&bench, &options, &batch);
    const int64_t size = batch.starts[1] * options.hidden;
    for (int64_t layer = 1; layer < options.layers; layer++) { /* sequence 0 only */
        memmove(states + layer * size, states + layer * batch.token_count * options.hidden,
                (size_t)size * sizeof *states);
    }
    const float *const recalled[] = {states, NULL, NULL};
    batch.recalled = recalled;
    check_gradients_of(&options, &batch);
    memory_release(states);
    batch_deinit(&batch);
    bench_close(&bench);
}

START_TEST(test_two_stream_gradients_are_slopes_of_the_loss)
{
    check_gradients_with_memory(0.0, true, false);
    check_gradients_with_memory(0.0, true, true);
    check_gradients_with_memory(0.0, false, false);
    check_gradients_with_memory(0.2, true, false);
}
END_TEST

START_TEST(test_two_stream_gives_the_same_bits_twice_and_within_other_limits)
{
    const struct model_options options = xlnet_tiny(0.1);
    const struct batch_limits wide = {9, 200, 77};
    struct bench small;
    struct bench large;
    bench_open(&small, kernels_level_best(), &options, &limits_tiny);
    bench_open(&large, kernels_level_best(), &options, &wide);
    struct batch batch = batch_chained(true, true);
    const double first = bench_loss(&small, &batch);
    batch.dropout_key.word[0] ^= 1; /* what another step leaves behind must not matter */
    ck_assert(first != bench_loss(&large, &batch));
    batch.dropout_key.word[0] ^= 1;
    ck_assert(first == bench_loss(&large, &batch));
    ck_assert_mem_eq(small.gradient, large.gradient,
                     (size_t)small.table->element_count * sizeof *small.gradient);
    batch_deinit(&batch);
    bench_close(&large);
    bench_close(&small);
}
END_TEST

/* Feeding what a batch remembers to another one gives the same bits. */
START_TEST(test_two_stream_memory_is_what_entered_the_layer)
{
    const struct model_options options = xlnet_tiny(0.0);
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
    struct batch batch = batch_chained(true, false);
    float *const states = states_of(&bench, &options, &batch);
    const int64_t size = batch.starts[1] * options.hidden;
    for (int64_t layer = 1; layer < options.layers; layer++) {
        memmove(states + layer * size, states + layer * batch.token_count * options.hidden,
                (size_t)size * sizeof *states);
    }
    const double loss = bench_loss(&bench, &batch);
    const float *const recalled[] = {states, NULL, NULL};
    batch.recalled = recalled;
    ck_assert(loss == bench_loss(&bench, &batch));
    batch.continues[1] = 0;
    ck_assert(loss != bench_loss(&bench, &batch));
    memory_release(states);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

static bool row_differs(const float *a, const float *b, int64_t row, int64_t c)
{
    return memcmp(a + row * c, b + row * c, (size_t)c * sizeof *a) != 0;
}

/* On the reference level a row's result depends on nothing but what it sees. Target t of a sequence
 * changes its own content row, the rows of targets behind it in the order, and functional rows that
 * are; never its own query row. */
START_TEST(test_two_stream_a_target_is_seen_by_those_behind_it_alone)
{
    struct error error = {0};
    struct model_options options = xlnet_tiny(0.0);
    options.layers = 1;
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_chained(true, false);
    const int64_t c = options.hidden;
    const int64_t n = batch.token_count;
    float *const before = memory_take((size_t)((n + batch.target_count) * c), sizeof(float), "t");
    float *const after = memory_take((size_t)((n + batch.target_count) * c), sizeof(float), "t");
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 1, before, &error), error);
    const int32_t target = batch.target_rows[2];
    batch.ids[target] ^= 1;
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 1, after, &error), error);
    int64_t changed = 0;
    for (int64_t row = 0; row < n; row++) {
        const bool same_sequence = row >= batch.starts[1] && row < batch.starts[2];
        const bool sees = same_sequence && batch.horizons[row] > batch.orders[target];
        ck_assert(row_differs(before, after, row, c) == (sees || row == target));
        changed += sees;
    }
    ck_assert_int_gt(changed, 0);
    for (int64_t k = 0; k < batch.target_count; k++) {
        const int32_t row = batch.target_rows[k];
        const bool same_sequence = row >= batch.starts[1] && row < batch.starts[2];
        const bool sees = same_sequence && batch.horizons[row] > batch.orders[target];
        ck_assert(row_differs(before, after, n + k, c) == sees);
    }
    memory_release(after);
    memory_release(before);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_two_stream_options_are_refused_where_they_mean_nothing)
{
    struct error error = {0};
    struct parameter_table table;
    struct model_options options = xlnet_tiny(0.0);
    options.hidden = 15;
    options.heads = 3;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    options.memory_tokens = 4;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
}
END_TEST

int main(void)
{
    return suite_run(
        "two_stream",
        (const TTest *[]){test_two_stream_gradients_are_slopes_of_the_loss,
                          test_two_stream_gives_the_same_bits_twice_and_within_other_limits,
                          test_two_stream_memory_is_what_entered_the_layer,
                          test_two_stream_a_target_is_seen_by_those_behind_it_alone,
                          test_two_stream_options_are_refused_where_they_mean_nothing, NULL});
}
