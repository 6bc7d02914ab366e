/* model/parameter_gate: a pass of the whole network reads only weights that it holds. */
#include "tests/unit/model/keeper.h"
#include "tests/unit/model/model_bench.h"

enum { SHAPES = 9 };

static struct model_options shape_of(int i)
{
    static const enum model_family families[] = {MODEL_FAMILY_ROBERTA, MODEL_FAMILY_ROBERTA,
                                                 MODEL_FAMILY_BERT, MODEL_FAMILY_SPANBERT,
                                                 MODEL_FAMILY_GPT};
    struct model_options options = family_tiny(i < 5 ? families[i] : MODEL_FAMILY_ALBERT, 0.1);
    options.norm = i == 1 || i == 4 ? MODEL_NORM_PRE : MODEL_NORM_POST;
    options.layers = 4;
    if (i >= 5) {
        static const enum model_share shares[] = {MODEL_SHARE_ALL, MODEL_SHARE_ATTENTION,
                                                  MODEL_SHARE_FEED_FORWARD, MODEL_SHARE_ALL};
        options.share = shares[i - 5];
        options.groups = i == 8 ? 2 : 1;
        options.inner_layers = i == 8 ? 2 : 1;
    }
    return options;
}

static struct model_result evaluate(struct bench *bench, const struct batch *batch)
{
    struct error error = {0};
    struct model_result result;
    CHECK_OK(model_evaluate(bench->model, bench->weights, batch, &result, &error), error);
    return result;
}

START_TEST(test_parameter_gate_a_pass_reads_only_what_it_holds)
{
    const struct model_options options = shape_of(_i);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_tiny();
    const struct model_result trained = bench_train(&bench, &batch);
    const struct model_result evaluated = evaluate(&bench, &batch);
    const size_t bytes = (size_t)bench.table->element_count * sizeof(float);
    float *const gradient = bench.gradient;
    bench.gradient = memory_take(bytes, 1, "test");

    struct keeper keeper;
    keeper_open(&keeper, bench.table, bench.weights);
    model_gate(bench.model, &keeper.gate);
    float *const whole = bench.weights;
    bench.weights = keeper.weights;
    ck_assert(bench_train(&bench, &batch).loss_sum == trained.loss_sum);
    ck_assert(memcmp(bench.gradient, gradient, bytes) == 0);
    ck_assert(evaluate(&bench, &batch).loss_sum == evaluated.loss_sum);
    ck_assert_int_le(keeper.held_most, 4); /* two layers, each of two groups */
    keeper_close(&keeper);
    bench.weights = whole;
    memory_release(gradient);
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "parameter_gate",
        (const TTest *[]){test_parameter_gate_a_pass_reads_only_what_it_holds, NULL}, SHAPES);
}
