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

static void bench_open(struct bench *bench, enum model_family family)
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
        .vocabulary = V,
        .type_vocabulary = 1,
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

static double run_score(struct bench *bench, int32_t mask, int64_t end)
{
    const struct score_text text = {bench->ids, COUNT, 1, end, mask};
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

int main(void)
{
    return suite_run("score", (const TTest *[]){
                                  test_score_of_a_causal_model_sums_what_comes_next,
                                  test_score_of_a_masked_model_hides_each_token_in_turn,
                                  NULL,
                              });
}
