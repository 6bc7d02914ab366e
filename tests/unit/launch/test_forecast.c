/* The arithmetic of a forecast: what falls with which shape, and which shape is nearest. */
#include "launch/forecast.h"
#include "model/parameters.h"
#include "tests/support/suite.h"

static const int64_t work_bytes = 200000000;

/* Eight layers in four parts; half of a worker's memory is what can be cut, most of the rest what
 * can be computed again. */
static struct forecast_inputs inputs_make(void)
{
    struct forecast_inputs inputs = {
        .pipelines = {1, 2, 4},
        .tensors = {1, 2, 4},
        .exchange_bytes = {100000000, 100000000, 125000000},
        .exchange_seconds = 2e-10,
        .elements = 100 * PARAMETER_BLOCK * 100,
        .blocks = 100 * 100,
        .table_elements = 8000000,
        .layer_elements = 2000000,
        .slots = 64,
        .steps = 1000,
        .kept = 3,
        .slot_flops = 1e12,
        .process_bytes = 30e6,
        .worker_flops = 1e11,
        .element_seconds = 5e-9,
        .node_bytes = 16e9,
        .network_bytes = 1.25e9,
    };
    for (int again = 0; again < MODEL_RECOMPUTES; again++) {
        for (int64_t p = 0; p < 3; p++) {
            for (int64_t t = 0; t < 3; t++) {
                const int64_t cut = work_bytes / 2 / inputs.tensors[t];
                const int64_t rest = work_bytes / 2 / (1 + again);
                inputs.works[again][p][t].mean = (cut + rest) / (p + 1);
            }
        }
    }
    return inputs;
}

static struct forecast_figures figure(int64_t workers, int64_t nodes, int64_t stage)
{
    const struct forecast_inputs inputs = inputs_make();
    const struct forecast_shape shape = {.workers = workers, .nodes = nodes, .stage = stage};
    return forecast_figure(&inputs, &shape);
}

START_TEST(test_forecast_shared_memory_does_not_grow_with_workers)
{
    const struct forecast_figures one = figure(1, 1, 1);
    const struct forecast_figures eight = figure(8, 1, 1);
    ck_assert_double_eq(one.weights + one.sums + one.moments + one.snapshot,
                        eight.weights + eight.sums + eight.moments + eight.snapshot);
    ck_assert_double_eq_tol(eight.node - one.node, 7 * one.worker + eight.records - one.records, 1);
    ck_assert_double_eq(one.weights + one.sums + one.moments + one.snapshot,
                        (4.0 + 8.0 + 8.0 + 12.0) * (double)inputs_make().elements);
}
END_TEST

START_TEST(test_forecast_stage_one_divides_moments_by_nodes)
{
    ck_assert_double_eq(figure(8, 4, 1).moments * 4, figure(8, 4, 0).moments);
    ck_assert_double_eq(figure(8, 4, 1).snapshot * 4, figure(2, 1, 1).snapshot);
    ck_assert(figure(8, 4, 1).traffic < figure(8, 4, 0).traffic);
    ck_assert_double_eq(figure(8, 1, 1).traffic, 0.0);
}
END_TEST

START_TEST(test_forecast_a_step_lasts_as_long_as_its_busiest_worker)
{
    /* 64 slots of 10 s: 64 workers take one each, 63 make somebody take two. */
    ck_assert_double_eq_tol(figure(64, 1, 1).compute, 10.0, 1e-9);
    ck_assert_double_eq_tol(figure(63, 1, 1).compute, 20.0, 1e-9);
    ck_assert_double_eq_tol(figure(1, 1, 1).compute, 640.0, 1e-9);
    ck_assert_double_eq_tol(figure(1, 1, 1).run, figure(1, 1, 1).step * 1000, 1e-6);
}
END_TEST

/* The nearest to 16 workers on 2 nodes at stage 0, where a node has just what `enough` needs. */
static struct forecast_shape nearest_to(struct forecast_shape enough)
{
    struct forecast_inputs inputs = inputs_make();
    struct forecast_shape nearest;
    const struct forecast_shape wanted = {
        .workers = 16, .nodes = 2, .stage = 0, .pipeline = 1, .tensor = 1};
    inputs.node_bytes = forecast_figure(&inputs, &enough).node;
    ck_assert(forecast_nearest(&inputs, &wanted, 64, &nearest));
    ck_assert(forecast_figure(&inputs, &nearest).fits);
    ck_assert_int_eq(nearest.workers % (nearest.pipeline * nearest.tensor), 0);
    return nearest;
}

START_TEST(test_forecast_nearest_fits_and_keeps_as_much_as_it_can)
{
    struct forecast_shape enough = {
        .workers = 16, .nodes = 2, .stage = 1, .pipeline = 1, .tensor = 1};
    for (; enough.stage <= FORECAST_STAGE_MAX; enough.stage++) {
        ck_assert_int_eq(nearest_to(enough).stage, enough.stage);
    }
    enough.stage = FORECAST_STAGE_MAX;
    enough.recompute = MODEL_RECOMPUTE_ATTENTION;
    ck_assert_int_eq(nearest_to(enough).recompute, MODEL_RECOMPUTE_ATTENTION);
    ck_assert_int_eq(nearest_to(enough).tensor, 1);
    enough.recompute = MODEL_RECOMPUTE_LAYER;
    enough.tensor = 2;
    ck_assert_int_eq(nearest_to(enough).tensor, 2);
    ck_assert_int_eq(nearest_to(enough).pipeline, 1);
    enough.tensor = 4;
    enough.pipeline = 2;
    ck_assert_int_eq(nearest_to(enough).pipeline, 2);
    ck_assert_int_eq(nearest_to(enough).workers, 16);
    enough.workers = 8;
    ck_assert_int_eq(nearest_to(enough).nodes, 2);
    ck_assert_int_lt(nearest_to(enough).workers, 16);
    enough.nodes = 8;
    ck_assert_int_gt(nearest_to(enough).nodes, 2);
    struct forecast_inputs inputs = inputs_make();
    inputs.node_bytes = (double)work_bytes / 8;
    ck_assert(!forecast_nearest(&inputs, &enough, 64, &enough));
}
END_TEST

START_TEST(test_forecast_stages_two_and_three_divide_sums_and_weights)
{
    const double passing = 8e6 + 2e6; /* elements of the embeddings and of a layer */
    const double elements = (double)inputs_make().elements;
    ck_assert_double_eq(figure(8, 4, 2).sums, 8.0 * (elements / 4 + passing * 0.75));
    ck_assert_double_eq(figure(8, 4, 2).weights, 4.0 * elements);
    ck_assert_double_eq(figure(8, 4, 3).weights, 4.0 * (elements / 4 + passing * 0.75));
    ck_assert_double_eq(figure(8, 1, 3).weights, figure(8, 1, 0).weights);
    /* 64 slots over 8 workers are 8 rounds */
    const double once = 8.0 * elements * 0.75;
    ck_assert_double_eq_tol(figure(8, 4, 2).traffic, 8 * once + once / 2, 1);
    ck_assert(figure(8, 4, 3).traffic > figure(8, 4, 2).traffic);
}
END_TEST

/* 64 slots of 10 s over 16 workers: 4 each, or 16 for each of 4 pipelines, whose 4 sections
 * take 2.5 s and wait 3 times for the first and last slot. */
START_TEST(test_forecast_a_pipeline_fills_and_drains)
{
    const struct forecast_inputs inputs = inputs_make();
    const struct forecast_shape whole = {.workers = 16, .nodes = 1, .stage = 1, .pipeline = 1};
    const struct forecast_shape piped = {.workers = 16, .nodes = 8, .stage = 1, .pipeline = 4};
    ck_assert_double_eq_tol(forecast_figure(&inputs, &whole).compute, 40.0, 1e-9);
    ck_assert_double_eq_tol(forecast_figure(&inputs, &piped).compute, 47.5, 1e-9);
    struct forecast_inputs heavy = inputs;
    heavy.state_bytes = 1000000;
    ck_assert_double_eq_tol(forecast_figure(&heavy, &piped).traffic -
                                forecast_figure(&inputs, &piped).traffic,
                            2.0 * 64 * 1e6 / 8, 1e-3);
    struct forecast_shape nearest;
    heavy.node_bytes = forecast_figure(&heavy, &piped).node - 1e6;
    ck_assert(forecast_nearest(&heavy, &piped, 64, &nearest));
    ck_assert_int_eq(nearest.workers % 4, 0);
}
END_TEST

/* 64 slots of 10 s over 8 pairs: 8 each of 5 s and the exchange. */
START_TEST(test_forecast_tensor_members_divide_a_slot_and_exchange)
{
    const struct forecast_inputs inputs = inputs_make();
    struct forecast_shape shape = {.workers = 16, .nodes = 2, .stage = 1, .tensor = 2};
    const double once = 1e8 * 2e-10;
    const struct forecast_figures pairs = forecast_figure(&inputs, &shape);
    ck_assert_double_eq_tol(pairs.compute, 8 * (5.0 + once), 1e-9);
    ck_assert_double_eq_tol(pairs.exchange, 8 * once, 1e-9);
    shape.tensor = 1;
    const struct forecast_figures whole = forecast_figure(&inputs, &shape);
    ck_assert_double_eq_tol(pairs.traffic, whole.traffic, 1e-3); /* within nodes */
    ck_assert(pairs.worker < whole.worker);
    shape.tensor = 4;
    shape.recompute = MODEL_RECOMPUTE_LAYER;
    const struct forecast_figures fours = forecast_figure(&inputs, &shape);
    ck_assert_double_eq_tol(fours.exchange, 16 * 2 * 1.25 * once, 1e-9);
    /* one member on each node */
    const struct forecast_shape apart = {.workers = 2, .nodes = 2, .stage = 1, .tensor = 2};
    ck_assert_double_eq_tol(forecast_figure(&inputs, &apart).exchange, 64 * 1e8 / 1.25e9, 1e-9);
    const struct forecast_shape alone = {.workers = 2, .nodes = 2, .stage = 1};
    ck_assert_double_eq_tol(forecast_figure(&inputs, &apart).traffic -
                                forecast_figure(&inputs, &alone).traffic,
                            64 * 1e8, 1e-3);
}
END_TEST

int main(void)
{
    return suite_run(
        "plan", (const TTest *[]){test_forecast_shared_memory_does_not_grow_with_workers,
                                  test_forecast_stage_one_divides_moments_by_nodes,
                                  test_forecast_stages_two_and_three_divide_sums_and_weights,
                                  test_forecast_a_pipeline_fills_and_drains,
                                  test_forecast_tensor_members_divide_a_slot_and_exchange,
                                  test_forecast_a_step_lasts_as_long_as_its_busiest_worker,
                                  test_forecast_nearest_fits_and_keeps_as_much_as_it_can, NULL});
}
