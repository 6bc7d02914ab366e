/* tasks/score: against the logits, one softmax after the other. */
#include "tasks/score.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

enum { COUNT = 20, MASK = 30, V = 31 };

struct bench {
    struct model_options options;
    struct parameter_table table;
    struct kernels kernels;
    float *weights;
    int32_t ids[COUNT];
};

static void bench_open_sized(struct bench *bench, enum model_family family, int64_t vocabulary)
{
    struct error error;
    const bool gpt = family == MODEL_FAMILY_GPT;
    memset(bench, 0, sizeof *bench);
    bench->options = (struct model_options){
        .family = family,
        .norm = gpt ? MODEL_NORM_PRE : MODEL_NORM_POST,
        .layers = 2,
        .hidden = 12,
        .heads = 3,
        .feed_forward = 20,
        .positions = COUNT,
        .vocabulary = vocabulary,
        .type_vocabulary = family == MODEL_FAMILY_XLNET ? 3 : 1,
        .pad_id = -1,
        .norm_epsilon = 1e-5,
        .init_range = 0.3,
        .without_pairs = true,
    };
    CHECK_OK(parameter_table_init(&bench->table, &bench->options, &error), error);
    bench->weights = memory_take((size_t)bench->table.element_count, sizeof(float), "test");
    parameter_fill(&bench->table, bench->options.init_range, 5, 0, bench->table.element_count,
                   bench->weights);
    CHECK_OK(kernels_open(&bench->kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    for (int32_t i = 0; i < COUNT; i++) {
        bench->ids[i] = (i * 11 + 2) % 29;
    }
}

static void bench_open(struct bench *bench, enum model_family family)
{
    bench_open_sized(bench, family, V);
}

static void bench_close(struct bench *bench)
{
    memory_release(bench->weights);
    parameter_table_deinit(&bench->table);
}

/* log softmax of `id` in row `row` of the text, with token `masked` hidden (-1: none). */
static double log_share(struct bench *bench, int64_t masked, int64_t row, int32_t id)
{
    struct error error;
    struct model *model;
    struct batch batch;
    float logits[V];
    const struct batch_limits limits = {1, COUNT, 1};
    CHECK_OK(model_open(&model, &bench->kernels, &bench->options, &limits, NULL, &error), error);
    batch_init(&batch, &limits);
    batch.sequence_count = 1;
    batch.token_count = COUNT;
    batch.target_count = 1;
    batch.starts[1] = COUNT;
    batch.target_rows[0] = (int32_t)row;
    for (int32_t i = 0; i < COUNT; i++) {
        batch.ids[i] = i == masked ? MASK : bench->ids[i];
        batch.positions[i] = i;
    }
    CHECK_OK(model_logits(model, bench->weights, &batch, logits, &error), error);
    double sum = 0;
    for (int64_t i = 0; i < V; i++) {
        sum += exp((double)logits[i]);
    }
    batch_deinit(&batch);
    model_close(model);
    return (double)logits[id] - log(sum);
}

/* log softmax of token `row` of the text, as the only target; each token of lower rank is given to
 * it, none of higher. Those of higher rank are other ids: they must not matter. */
static double log_share_permuted(struct bench *bench, struct model *model, const int32_t *ranks,
                                 int64_t row)
{
    struct error error;
    struct batch batch;
    float logits[V];
    const struct batch_limits limits = {1, COUNT, COUNT};
    batch_init(&batch, &limits);
    batch.sequence_count = 1;
    batch.token_count = COUNT;
    batch.target_count = 1;
    batch.permuted = true;
    batch.starts[1] = COUNT;
    batch.target_rows[0] = (int32_t)row;
    for (int32_t i = 0; i < COUNT; i++) {
        const bool text = i < COUNT - 2;
        const bool given = !text || ranks[i] < ranks[row];
        batch.ids[i] = given ? bench->ids[i] : (bench->ids[i] + 1) % V;
        batch.positions[i] = i;
        batch.segments[i] = 0;
        batch.orders[i] = text ? ranks[i] : -1;
        batch.horizons[i] = text ? ranks[i] : 0;
    }
    CHECK_OK(model_logits(model, bench->weights, &batch, logits, &error), error);
    double sum = 0;
    for (int64_t i = 0; i < V; i++) {
        sum += exp((double)logits[i]);
    }
    batch_deinit(&batch);
    return (double)logits[bench->ids[row]] - log(sum);
}

static double run_score(struct bench *bench, int32_t mask, int64_t end)
{
    const struct score_text text = {
        .kind = mask < 0 ? SCORE_KIND_CAUSAL : SCORE_KIND_MASKED,
        .ids = bench->ids,
        .count = COUNT,
        .first = 1,
        .end = end,
        .mask = mask,
    };
    const struct batch_limits limits = score_limits(&text);
    struct error error;
    struct model *model;
    double log_likelihood = 0;
    CHECK_OK(model_open(&model, &bench->kernels, &bench->options, &limits, NULL, &error), error);
    CHECK_OK(score(model, bench->weights, &text, &log_likelihood, &error), error);
    model_close(model);
    return log_likelihood;
}

START_TEST(test_score_of_a_causal_model_sums_what_comes_next)
{
    struct bench bench;
    double expected = 0;
    bench_open(&bench, MODEL_FAMILY_GPT);
    for (int64_t i = 1; i < COUNT; i++) {
        expected += log_share(&bench, -1, i - 1, bench.ids[i]);
    }
    ck_assert_double_eq_tol(run_score(&bench, -1, COUNT), expected, 1e-4);
    bench_close(&bench);
}
END_TEST

/* 18 tokens: more than a batch holds. */
START_TEST(test_score_of_a_masked_model_hides_each_token_in_turn)
{
    static const enum model_family families[] = {MODEL_FAMILY_BERT, MODEL_FAMILY_ROBERTA,
                                                 MODEL_FAMILY_ALBERT};
    for (int64_t family = 0; family < ARRAY_LENGTH(families); family++) {
        struct bench bench;
        double expected = 0;
        bench_open(&bench, families[family]);
        for (int64_t i = 1; i < COUNT - 1; i++) {
            expected += log_share(&bench, i, i, bench.ids[i]);
        }
        ck_assert_double_eq_tol(run_score(&bench, MASK, COUNT - 1), expected, 1e-4);
        bench_close(&bench);
    }
}
END_TEST

/* The probabilities of all texts of three tokens, given what ends them, in the order z = ranks. */
static double whole_probability(struct bench *bench, const int32_t ranks[3])
{
    enum { IDS = 7 };
    int32_t ids[5] = {0, 0, 0, IDS - 2, IDS - 1};
    const struct score_text text = {.kind = SCORE_KIND_PERMUTED,
                                    .ids = ids,
                                    .count = 5,
                                    .end = 3,
                                    .ranks = ranks,
                                    .class_row = 4};
    const struct batch_limits limits = score_limits(&text);
    struct error error;
    struct model *model;
    double sum = 0;
    CHECK_OK(model_open(&model, &bench->kernels, &bench->options, &limits, NULL, &error), error);
    for (int32_t i = 0; i < IDS * IDS * IDS; i++) {
        double log_likelihood = 0;
        ids[0] = i % IDS;
        ids[1] = i / IDS % IDS;
        ids[2] = i / IDS / IDS;
        CHECK_OK(score(model, bench->weights, &text, &log_likelihood, &error), error);
        sum += exp(log_likelihood);
    }
    model_close(model);
    return sum;
}

START_TEST(test_score_of_a_permuted_model_is_a_probability_in_every_order)
{
    static const int32_t orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    struct bench bench;
    bench_open_sized(&bench, MODEL_FAMILY_XLNET, 7);
    for (int64_t i = 0; i < ARRAY_LENGTH(orders); i++) {
        ck_assert_double_eq_tol(whole_probability(&bench, orders[i]), 1.0, 1e-5);
    }
    bench_close(&bench);
}
END_TEST

/* Each token alone, the others hidden from it by their order: the parts of the sum, one by one. */
START_TEST(test_score_of_a_permuted_model_sums_its_order)
{
    static const int32_t ranks[COUNT - 2] = {3,  0, 17, 5, 1,  16, 2,  15, 4,
                                             14, 6, 13, 7, 12, 8,  11, 9,  10};
    struct bench bench;
    bench_open(&bench, MODEL_FAMILY_XLNET);
    const struct score_text text = {.kind = SCORE_KIND_PERMUTED,
                                    .ids = bench.ids,
                                    .count = COUNT,
                                    .end = COUNT - 2,
                                    .ranks = ranks,
                                    .class_row = -1};
    const struct batch_limits limits = score_limits(&text);
    struct error error;
    struct model *model;
    double whole = 0;
    CHECK_OK(model_open(&model, &bench.kernels, &bench.options, &limits, NULL, &error), error);
    CHECK_OK(score(model, bench.weights, &text, &whole, &error), error);
    double sum = 0;
    for (int64_t i = 0; i < COUNT - 2; i++) {
        sum += log_share_permuted(&bench, model, ranks, i);
    }
    ck_assert_double_eq_tol(sum, whole, 1e-4);
    model_close(model);
    bench_close(&bench);
}
END_TEST

int main(void)
{
    return suite_run("score", (const TTest *[]){
                                  test_score_of_a_causal_model_sums_what_comes_next,
                                  test_score_of_a_masked_model_hides_each_token_in_turn,
                                  test_score_of_a_permuted_model_is_a_probability_in_every_order,
                                  test_score_of_a_permuted_model_sums_its_order,
                                  NULL,
                              });
}
