/* model/model: gradients against finite differences, packing, dropout, the same bits whenever and
 * within whatever limits. Agreement with the reference library is tests/golden. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/activations.h"
#include "model/needed.h"
#include "tests/support/suite.h"
#include "tests/unit/model/model_bench.h"

START_TEST(test_model_gradients_are_slopes_of_the_loss_post_norm)
{
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    check_gradients(&options);
}
END_TEST

START_TEST(test_model_gradients_are_slopes_of_the_loss_pre_norm)
{
    const struct model_options options = options_tiny(MODEL_NORM_PRE, 0.0);
    check_gradients(&options);
}
END_TEST

START_TEST(test_model_gradients_are_slopes_of_the_loss_under_dropout)
{
    struct model_options options = options_tiny(MODEL_NORM_POST, 0.2);
    check_gradients(&options);
    options.norm = MODEL_NORM_PRE;
    options.activation = MODEL_ACTIVATION_GELU_TANH;
    check_gradients(&options);
}
END_TEST

START_TEST(test_model_gives_the_same_bits_twice_and_within_other_limits)
{
    for (int norm = 0; norm < 2; norm++) {
        const struct model_options options =
            options_tiny(norm == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE, 0.1);
        const struct batch_limits wide = {9, 200, 77};
        struct bench small;
        struct bench large;
        bench_open(&small, kernels_level_best(), &options, &limits_tiny);
        bench_open(&large, kernels_level_best(), &options, &wide);
        struct batch batch = batch_tiny();
        const struct model_result first = bench_train(&small, &batch);
        const struct model_result other = bench_train(&large, &batch);
        const size_t bytes = (size_t)small.table->element_count * sizeof *small.gradient;
        ck_assert(first.loss_sum == other.loss_sum);
        ck_assert_mem_eq(small.gradient, large.gradient, bytes);
        batch.dropout_key.word[0] ^= 1; /* what another step leaves behind must not matter */
        const struct model_result changed = bench_train(&large, &batch);
        ck_assert(first.loss_sum != changed.loss_sum);
        batch.dropout_key.word[0] ^= 1;
        (void)bench_train(&large, &batch);
        ck_assert_mem_eq(small.gradient, large.gradient, bytes);
        batch_deinit(&batch);
        bench_close(&large);
        bench_close(&small);
    }
}
END_TEST

/* Where few rows are targets the last layer computes those alone: the same logits, bit for bit, as
 * where all rows are. */
START_TEST(test_model_leaves_out_rows_that_nothing_reads)
{
    enum { ROWS = 22, WORDS = 41 };
    const struct batch_limits limits = {4, 40, 40};
    struct error error = {0};
    for (int norm = 0; norm < 2; norm++) {
        const struct model_options options =
            options_tiny(norm == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE, 0.0);
        struct bench bench;
        bench_open(&bench, kernels_level_best(), &options, &limits);
        struct batch few = batch_tiny();
        struct batch all;
        batch_init(&all, &limits);
        all.starts[0] = 0;
        for (int64_t b = 0; b < few.sequence_count; b++) {
            batch_append(&all, b);
        }
        for (int32_t row = 0; row < ROWS; row++) {
            all.target_rows[row] = row;
            all.target_ids[row] = row;
        }
        all.target_count = ROWS;
        ck_assert(needed_is_part(&options, &few) && !needed_is_part(&options, &all));
        float some[ROWS * WORDS];
        float whole[ROWS * WORDS];
        CHECK_OK(model_logits(bench.model, bench.weights, &few, some, &error), error);
        CHECK_OK(model_logits(bench.model, bench.weights, &all, whole, &error), error);
        for (int64_t k = 0; k < few.target_count; k++) {
            ck_assert_mem_eq(some + k * WORDS, whole + few.target_rows[k] * WORDS,
                             WORDS * sizeof *some);
        }
        batch_deinit(&all);
        batch_deinit(&few);
        bench_close(&bench);
    }
}
END_TEST

/* bf16 keeps 8 bits, so a product's operands are off by 2^-9 at most; over two layers forward and
 * back, the whole gradient stays within a few of those. */
START_TEST(test_model_bf16_gradient_is_near_that_of_fp32)
{
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.1);
    struct error error = {0};
    struct bench whole;
    struct bench half;
    bench_open(&whole, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    bench_open(&half, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    CHECK_OK(kernels_use_bf16(&half.kernels, &error), error);
    struct batch batch = batch_tiny();
    const double loss = bench_train(&whole, &batch).loss_sum;
    ck_assert_double_eq_tol(bench_train(&half, &batch).loss_sum / loss, 1.0, 0.01);
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < whole.table->element_count; i++) {
        const double value = (double)whole.gradient[i];
        const double off = (double)half.gradient[i] - value;
        difference += off * off;
        size += value * value;
    }
    ck_assert_double_lt(sqrt(difference / size), 0.02);
    ck_assert_double_gt(sqrt(difference / size), 1e-4);
    batch_deinit(&batch);
    bench_close(&half);
    bench_close(&whole);
}
END_TEST

/* On the reference level a row's result does not depend on the other rows at all. */
START_TEST(test_model_packed_sequences_do_not_see_each_other)
{
    struct error error = {0};
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch packed = batch_tiny();
    float *const together = memory_take(16 * 41, sizeof *together, "test");
    float *const alone = memory_take(16 * 41, sizeof *alone, "test");
    CHECK_OK(model_logits(bench.model, bench.weights, &packed, together, &error), error);
    double loss = 0;
    int64_t row = 0;
    for (int64_t b = 0; b < packed.sequence_count; b++) {
        struct batch single;
        batch_init(&single, &limits_tiny);
        single.starts[0] = 0;
        batch_append(&single, b);
        CHECK_OK(model_logits(bench.model, bench.weights, &single, alone, &error), error);
        ck_assert_mem_eq(alone, together + row * 41,
                         (size_t)(single.target_count * 41) * sizeof *alone);
        row += single.target_count;
        loss += bench_train(&bench, &single).loss_sum;
        batch_deinit(&single);
    }
    ck_assert_int_eq(row, packed.target_count);
    ck_assert_double_eq_tol(loss, bench_train(&bench, &packed).loss_sum, 1e-9);
    memory_release(alone);
    memory_release(together);
    batch_deinit(&packed);
    bench_close(&bench);
}
END_TEST

START_TEST(test_model_evaluates_what_it_trains_on_when_nothing_is_dropped)
{
    struct error error = {0};
    for (int norm = 0; norm < 2; norm++) {
        const struct model_options options =
            options_tiny(norm == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE, 0.0);
        struct bench bench;
        bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
        struct model *evaluator = NULL; /* one set of activations for all layers */
        CHECK_OK(model_open(&evaluator, &bench.kernels, &options, &limits_tiny, NULL, &error),
                 error);
        struct batch batch = batch_tiny();
        const struct model_result trained = bench_train(&bench, &batch);
        struct model_result evaluated;
        CHECK_OK(model_evaluate(bench.model, bench.weights, &batch, &evaluated, &error), error);
        ck_assert(trained.loss_sum == evaluated.loss_sum);
        CHECK_OK(model_evaluate(evaluator, bench.weights, &batch, &evaluated, &error), error);
        ck_assert(trained.loss_sum == evaluated.loss_sum);
        ck_assert_int_eq(trained.correct_count, evaluated.correct_count);
        ck_assert_int_eq(evaluated.target_count, batch.target_count);
        batch_deinit(&batch);
        model_close(evaluator);
        bench_close(&bench);
    }
}
END_TEST

START_TEST(test_model_hands_over_head_then_layers_from_the_top_then_embeddings)
{
    const struct model_options options = options_tiny(MODEL_NORM_PRE, 0.1);
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
    struct batch batch = batch_tiny();
    (void)bench_train(&bench, &batch);
    const int64_t expected[] = {3, 2, 1, 0};
    ck_assert_int_eq(bench.group_count, ARRAY_LENGTH(expected));
    ck_assert_mem_eq(bench.groups, expected, sizeof expected);
    int64_t place = 0; /* padding is zero */
    for (int64_t r = 0; r < bench.table->row_count; r++) {
        for (; place < bench.table->rows[r].offset; place++) {
            ck_assert(bench.gradient[place] == 0.0F);
        }
        place += bench.table->rows[r].count;
    }
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_model_padding_gets_no_gradient_from_the_input_side)
{
    struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
    struct batch batch = batch_tiny();
    batch.ids[4] = 1;
    (void)bench_train(&bench, &batch);
    options.pad_id = -1;
    struct bench all;
    bench_open(&all, kernels_level_best(), &options, &limits_tiny);
    (void)bench_train(&all, &batch);
    const struct parameter *const word = parameter_of(bench.table, 0, PARAMETER_WORD);
    for (int64_t i = 0; i < bench.table->element_count; i++) {
        const bool padding = i >= word->offset + 15 && i < word->offset + 30;
        ck_assert((bench.gradient[i] == all.gradient[i]) == !padding);
        ck_assert(!padding || bench.gradient[i] != 0.0F); /* the decoder's share stays */
    }
    batch_deinit(&batch);
    bench_close(&all);
    bench_close(&bench);
}
END_TEST

START_TEST(test_model_without_targets_has_a_zero_gradient)
{
    const struct model_options options = options_tiny(MODEL_NORM_PRE, 0.1);
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits_tiny);
    struct batch batch = batch_tiny();
    (void)bench_train(&bench, &batch); /* leaves gradients in the work memory */
    batch.target_count = 0;
    const struct model_result result = bench_train(&bench, &batch);
    ck_assert(result.loss_sum == 0.0 && result.target_count == 0 && result.correct_count == 0);
    for (int64_t i = 0; i < bench.table->element_count; i++) {
        ck_assert(bench.gradient[i] == 0.0F);
    }
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

/* A vocabulary so large that the head takes two chunks: the same as the two halves of the targets
 * alone. */
START_TEST(test_model_chunks_of_logits_add_up)
{
    struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    options.hidden = 3;
    options.vocabulary = 600000;
    const struct batch_limits limits = {4, 40, 22};
    struct bench bench;
    bench_open(&bench, kernels_level_best(), &options, &limits);
    struct batch batch = batch_within(&limits);
    batch.target_count = batch.token_count;
    for (int32_t row = 0; row < batch.token_count; row++) {
        batch.target_rows[row] = row;
        batch.target_ids[row] = 27000 * row;
    }
    ck_assert_int_lt(head_chunk_rows(options.vocabulary), batch.target_count);
    const int64_t count = bench.table->element_count;
    float *const whole = memory_take((size_t)count, sizeof *whole, "test");
    const double loss = bench_train(&bench, &batch).loss_sum;
    memcpy(whole, bench.gradient, (size_t)count * sizeof *whole);
    batch.target_count = 11;
    double halves = bench_train(&bench, &batch).loss_sum;
    float *const first = memory_take((size_t)count, sizeof *first, "test");
    memcpy(first, bench.gradient, (size_t)count * sizeof *first);
    memmove(batch.target_rows, batch.target_rows + 11, 11 * sizeof *batch.target_rows);
    memmove(batch.target_ids, batch.target_ids + 11, 11 * sizeof *batch.target_ids);
    halves += bench_train(&bench, &batch).loss_sum;
    double square = 0;
    double difference = 0;
    for (int64_t i = 0; i < count; i++) {
        const double sum = (double)first[i] + (double)bench.gradient[i];
        square += sum * sum;
        difference += (sum - (double)whole[i]) * (sum - (double)whole[i]);
    }
    ck_assert_double_eq_tol(loss, halves, 1e-4);
    /* both sides are float results of the same terms: a few units of 6e-8 */
    ck_assert(square > 0 && sqrt(difference / square) < 2e-6);
    memory_release(first);
    memory_release(whole);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_model_refuses_indexes_that_its_tables_do_not_have)
{
    struct error error = {0};
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_tiny();
    struct model_result result;
    int32_t *const places[] = {&batch.ids[3], &batch.positions[3], &batch.segments[3],
                               &batch.target_ids[2]};
    const int32_t bad[] = {41, 12, 2, -1};
    for (int i = 0; i < 4; i++) {
        const int32_t before = *places[i];
        *places[i] = bad[i];
        CHECK_FAILS(model_evaluate(bench.model, bench.weights, &batch, &result, &error),
                    STATUS_INPUT);
        *places[i] = before;
    }
    CHECK_OK(model_evaluate(bench.model, bench.weights, &batch, &result, &error), error);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

START_TEST(test_model_work_bytes_end_with_the_last_byte_used)
{
    struct error error = {0};
    struct kernels kernels;
    CHECK_OK(kernels_open(&kernels, kernels_level_best(), &error), error);
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.1);
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    struct activations activations;
    const struct model_role role = {.trains = true};
    activations_open(&activations, &kernels, &options, &table, &limits_tiny, &role);
    const struct parameter_group *const head = &table.groups[parameter_head_group(&table)];
    const unsigned char *const end =
        (const unsigned char *)(activations.gradients[parameter_head_group(&table)] + head->count);
    int64_t bytes = 0;
    CHECK_OK(model_work_bytes(&kernels, &options, &limits_tiny, &role, &bytes, &error), error);
    ck_assert_int_eq(bytes, end - (const unsigned char *)activations.block);
    int64_t forward_bytes = 0;
    CHECK_OK(model_work_bytes(&kernels, &options, &limits_tiny, NULL, &forward_bytes, &error),
             error);
    ck_assert_int_lt(forward_bytes, bytes);
    activations_close(&activations);
    parameter_table_deinit(&table);
}
END_TEST

/* 6·N·(L(4C²+2CF)) + 12·L·C·ΣT² + 6·K·(C²+CV), by hand for N = 22, T = 7, 12, 3, K = 7; of the last
 * layer 2C²+2CF for K rows only, and K of N queries. */
START_TEST(test_model_train_flops_follow_their_formula)
{
    const struct model_options options = options_tiny(MODEL_NORM_POST, 0.0);
    struct batch batch = batch_tiny();
    ck_assert_int_eq(batch.token_count, 22);
    ck_assert_int_eq(batch.target_count, 7);
    const double expected = 6.0 * 22 * (4 * 225 + 2 * 225 + 2 * 15 * 22) +
                            6.0 * 7 * (2 * 225 + 2 * 15 * 22) +
                            12.0 * (1 + 7.0 / 22) * 15 * (49 + 144 + 9) +
                            6.0 * 7 * (225 + 15 * 41);
    ck_assert_double_eq_tol(model_train_flops(&options, &batch), expected, 1e-6);
    batch_deinit(&batch);
}
END_TEST

int main(void)
{
    return suite_run(
        "model",
        (const TTest *[]){test_model_gradients_are_slopes_of_the_loss_post_norm,
                          test_model_gradients_are_slopes_of_the_loss_pre_norm,
                          test_model_gradients_are_slopes_of_the_loss_under_dropout,
                          test_model_gives_the_same_bits_twice_and_within_other_limits,
                          test_model_bf16_gradient_is_near_that_of_fp32,
                          test_model_packed_sequences_do_not_see_each_other,
                          test_model_evaluates_what_it_trains_on_when_nothing_is_dropped,
                          test_model_hands_over_head_then_layers_from_the_top_then_embeddings,
                          test_model_padding_gets_no_gradient_from_the_input_side,
                          test_model_without_targets_has_a_zero_gradient,
                          test_model_chunks_of_logits_add_up,
                          test_model_refuses_indexes_that_its_tables_do_not_have,
                          test_model_work_bytes_end_with_the_last_byte_used,
                          test_model_leaves_out_rows_that_nothing_reads,
                          test_model_train_flops_follow_their_formula, NULL});
}
