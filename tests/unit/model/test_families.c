/* model/: what the families have apart from RoBERTa: gradients against finite differences, causal attention, the
 * heads for sequences and spans. Shared tensors are test_sharing.c's. Agreement with the reference library is
 * tests/golden. */
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "tests/support/suite.h"
#include "tests/unit/model/model_bench.h"

static const enum model_family families[] = {MODEL_FAMILY_BERT, MODEL_FAMILY_ALBERT,
                                             MODEL_FAMILY_SPANBERT, MODEL_FAMILY_GPT};

START_TEST(test_families_gradients_are_slopes_of_the_loss)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(families); i++) {
        const struct model_options options = family_tiny(families[i], 0.0);
        check_gradients(&options);
    }
}
END_TEST

START_TEST(test_families_gradients_are_slopes_of_the_loss_under_dropout)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(families); i++) {
        const struct model_options options = family_tiny(families[i], 0.2);
        check_gradients(&options);
    }
}
END_TEST

/* With tables as wide as the layers there still is a mapping between them. */
START_TEST(test_families_gradients_of_albert_with_wide_tables_are_slopes_of_the_loss)
{
    struct model_options options = family_tiny(MODEL_FAMILY_ALBERT, 0.0);
    options.embedding_width = options.hidden;
    check_gradients(&options);
}
END_TEST

START_TEST(test_families_give_the_same_bits_twice_and_within_other_limits)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(families); i++) {
        const struct model_options options = family_tiny(families[i], 0.1);
        const struct batch_limits wide = {9, 200, 77};
        struct bench small;
        struct bench large;
        bench_open(&small, kernels_level_best(), &options, &limits_tiny);
        bench_open(&large, kernels_level_best(), &options, &wide);
        struct batch batch = batch_tiny();
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
}
END_TEST

/* On the reference level a row's result depends on nothing but what it sees. */
START_TEST(test_families_gpt_sees_nothing_that_comes_later)
{
    struct error error = {0};
    const struct model_options options = family_tiny(MODEL_FAMILY_GPT, 0.0);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_tiny();
    const size_t count = (size_t)(batch.token_count * options.hidden);
    float *const before = memory_take(count, sizeof *before, "test");
    float *const after = memory_take(count, sizeof *after, "test");
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 2, before, &error), error);
    batch.ids[5] ^= 1; /* in the first sequence, rows 0 to 6 */
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 2, after, &error), error);
    const size_t bytes = (size_t)options.hidden * sizeof *before;
    for (int64_t row = 0; row < batch.token_count; row++) {
        const bool sees = row == 5 || row == 6;
        const int same = memcmp(before + row * options.hidden, after + row * options.hidden, bytes);
        ck_assert((same != 0) == sees);
    }
    memory_release(after);
    memory_release(before);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

/* Every row sees what stands before it and itself, but row 1. */
START_TEST(test_families_a_token_that_nobody_sees_changes_nobody_else)
{
    struct error error = {0};
    const struct model_options options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_tiny();
    int32_t lists[40 * 2];
    int32_t intervals[40 * 4];
    int32_t count = 0;
    for (int64_t row = 0; row < batch.token_count; row++) {
        const int32_t t = batch.positions[row];
        const int32_t pieces[2][2] = {{0, t == 1 ? 2 : 1}, {2, t + 1}};
        lists[2 * row] = count;
        for (int i = 0; i < (t < 2 ? 1 : 2); i++, count++) {
            intervals[2 * count] = pieces[i][0];
            intervals[2 * count + 1] = pieces[i][1];
        }
        lists[2 * row + 1] = count;
    }
    batch.visible_lists = lists;
    batch.visible_intervals = intervals;
    const size_t width = (size_t)options.hidden;
    float *const before = memory_take(40 * width, sizeof *before, "test");
    float *const after = memory_take(40 * width, sizeof *after, "test");
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 2, before, &error), error);
    batch.ids[1] ^= 1;
    CHECK_OK(model_hidden(bench.model, bench.weights, &batch, 2, after, &error), error);
    for (size_t row = 0; row < (size_t)batch.token_count; row++) {
        const int same = memcmp(before + row * width, after + row * width, width * sizeof *before);
        ck_assert((same != 0) == (row == 1));
    }
    memory_release(after);
    memory_release(before);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_families_without_pairs_have_no_pooler)
{
    struct error error = {0};
    struct model_options options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    options.without_pairs = true;
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    for (int64_t r = 0; r < table.row_count; r++) {
        ck_assert(table.rows[r].role < PARAMETER_POOLER_WEIGHT);
    }
    parameter_table_deinit(&table);
}
END_TEST

START_TEST(test_families_a_head_without_rows_has_a_zero_gradient)
{
    const enum model_family with[] = {MODEL_FAMILY_BERT, MODEL_FAMILY_SPANBERT};
    for (int64_t i = 0; i < ARRAY_LENGTH(with); i++) {
        const struct model_options options = family_tiny(with[i], 0.1);
        struct bench bench;
        bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
        struct batch batch = batch_tiny();
        (void)bench_train(&bench, &batch);
        for (int64_t b = 0; b < batch.sequence_count; b++) {
            batch.sequence_labels[b] = -1;
        }
        for (int64_t k = 0; k < batch.target_count; k++) {
            batch.left_rows[k] = -1;
        }
        const struct model_result result = bench_train(&bench, &batch);
        ck_assert(result.loss_sum > 0 && result.sequence_count == 0 && result.span_count == 0);
        ck_assert(result.sequence_loss_sum == 0 && result.span_loss_sum == 0);
        for (int64_t r = 0; r < bench.table->row_count; r++) {
            const struct parameter *const row = &bench.table->rows[r];
            for (int64_t j = 0; j < row->count && row->role >= PARAMETER_POOLER_WEIGHT; j++) {
                ck_assert(bench.gradient[row->offset + j] == 0.0F);
            }
        }
        batch_deinit(&batch);
        bench_close(&bench);
    }
}
END_TEST

START_TEST(test_families_sequence_labels_count_without_any_target)
{
    struct error error = {0};
    const struct model_options options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
    struct batch batch = batch_tiny();
    struct model_result evaluated;
    const struct model_result all = bench_train(&bench, &batch);
    batch.target_count = 0;
    const struct model_result result = bench_train(&bench, &batch);
    ck_assert_int_eq(result.target_count, 0);
    ck_assert_int_eq(result.sequence_count, 2);
    ck_assert(result.loss_sum == 0 && result.sequence_loss_sum == all.sequence_loss_sum);
    CHECK_OK(model_evaluate(bench.model, bench.weights, &batch, &evaluated, &error), error);
    ck_assert(result.sequence_loss_sum == evaluated.sequence_loss_sum);
    ck_assert_int_eq(result.sequence_correct_count, evaluated.sequence_correct_count);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_families_refuse_what_they_have_not)
{
    struct error error = {0};
    struct parameter_table table;
    struct model_options options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    options.norm = MODEL_NORM_PRE;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    options = family_tiny(MODEL_FAMILY_BERT, 0.0);
    options.share = MODEL_SHARE_ALL;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    options = family_tiny(MODEL_FAMILY_ALBERT, 0.0);
    options.embedding_width = options.hidden + 1;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    options = family_tiny(MODEL_FAMILY_ALBERT, 0.0);
    options.groups = 3;
    options.layers = 4;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
    options = family_tiny(MODEL_FAMILY_SPANBERT, 0.0);
    options.span_positions = 0;
    CHECK_FAILS(parameter_table_init(&table, &options, &error), STATUS_INPUT);
}
END_TEST

START_TEST(test_families_what_ends_in_gpt_residual_stream_begins_smaller)
{
    struct error error = {0};
    const struct model_options options = family_tiny(MODEL_FAMILY_GPT, 0.0);
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    for (int64_t r = 0; r < table.row_count; r++) {
        const struct parameter *const row = &table.rows[r];
        const bool residual = strstr(row->name, "c_proj.weight") != NULL;
        ck_assert_double_eq_tol(row->init_scale, residual ? 0.5 : 1.0, 1e-15); /* 1 / sqrt(2·2) */
        ck_assert_int_eq(row->input_major, strstr(row->name, ".h.") != NULL && row->cols != 0);
    }
    parameter_table_deinit(&table);
}
END_TEST

int main(void)
{
    return suite_run(
        "families",
        (const TTest *[]){test_families_gradients_are_slopes_of_the_loss,
                          test_families_gradients_are_slopes_of_the_loss_under_dropout,
                          test_families_gradients_of_albert_with_wide_tables_are_slopes_of_the_loss,
                          test_families_give_the_same_bits_twice_and_within_other_limits,
                          test_families_gpt_sees_nothing_that_comes_later,
                          test_families_a_token_that_nobody_sees_changes_nobody_else,
                          test_families_without_pairs_have_no_pooler,
                          test_families_a_head_without_rows_has_a_zero_gradient,
                          test_families_sequence_labels_count_without_any_target,
                          test_families_refuse_what_they_have_not,
                          test_families_what_ends_in_gpt_residual_stream_begins_smaller, NULL});
}
