/* model/parameter_gate: a pass reads only weights that it holds (all others are NaN meanwhile). */
#include "model/parameter_gate.h"

#include "tests/unit/model/model_bench.h"

enum { CALLS_MAX = 128, SHAPES = 9 };

/* Weights of a group are in the bench only while it is held. */
struct keeper {
    struct bench *bench;
    float *whole; /* where they are kept */
    int64_t held[16];
    int64_t held_most;
    int64_t calls[CALLS_MAX]; /* hold: group, drop: -1 - group */
    int64_t call_count;
};

static void keeper_note(struct keeper *keeper, int64_t call)
{
    ck_assert_int_lt(keeper->call_count, CALLS_MAX);
    keeper->calls[keeper->call_count++] = call;
}

static void keeper_ahead(void *context, int64_t group)
{
    const struct keeper *const keeper = context;
    ck_assert_int_lt(group, keeper->bench->table->group_count);
}

static void keeper_hold(void *context, int64_t group)
{
    struct keeper *const keeper = context;
    const struct parameter_group *const row = &keeper->bench->table->groups[group];
    int64_t all = 0;
    keeper_note(keeper, group);
    ck_assert_int_eq(keeper->held[group]++, 0);
    for (int64_t g = 0; g < keeper->bench->table->group_count; g++) {
        all += keeper->held[g];
    }
    keeper->held_most = all > keeper->held_most ? all : keeper->held_most;
    memcpy(keeper->bench->weights + row->offset, keeper->whole + row->offset,
           (size_t)row->count * sizeof(float));
}

static void keeper_drop(void *context, int64_t group)
{
    struct keeper *const keeper = context;
    const struct parameter_group *const row = &keeper->bench->table->groups[group];
    keeper_note(keeper, -1 - group);
    ck_assert_int_eq(keeper->held[group]--, 1);
    for (int64_t i = 0; i < row->count; i++) {
        keeper->bench->weights[row->offset + i] = NAN;
    }
}

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

static void keeper_open(struct keeper *keeper, struct bench *bench, struct parameter_gate *gate)
{
    const size_t count = (size_t)bench->table->element_count;
    *keeper = (struct keeper){.bench = bench, .whole = bench->weights};
    bench->weights = memory_take(count, sizeof *bench->weights, "test");
    for (size_t i = 0; i < count; i++) {
        bench->weights[i] = NAN;
    }
    *gate = (struct parameter_gate){keeper_ahead, keeper_hold, keeper_drop, keeper};
    model_gate(bench->model, gate);
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
    struct parameter_gate gate;
    keeper_open(&keeper, &bench, &gate);
    ck_assert(bench_train(&bench, &batch).loss_sum == trained.loss_sum);
    ck_assert(memcmp(bench.gradient, gradient, bytes) == 0);
    ck_assert(evaluate(&bench, &batch).loss_sum == evaluated.loss_sum);
    ck_assert_int_le(keeper.held_most, 4); /* two layers, each of two groups */
    for (int64_t group = 0; group < bench.table->group_count; group++) {
        ck_assert_int_eq(keeper.held[group], 0);
    }
    memory_release(gradient);
    memory_release(keeper.whole);
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
