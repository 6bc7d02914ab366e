/* The arithmetic of a forecast: what falls with which shape, and which shape is nearest. */
#include "launch/forecast.h"
#include "tests/support/suite.h"

static struct forecast_inputs inputs_make(void)
{
    return (struct forecast_inputs){
        .elements = 100 * PARAMETER_BLOCK * 100,
        .blocks = 100 * 100,
        .table_elements = 8000000,
        .layer_elements = 2000000,
        .work_bytes = 200000000,
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

START_TEST(test_forecast_nearest_fits_and_keeps_as_much_as_it_can)
{
    struct forecast_inputs inputs = inputs_make();
    struct forecast_shape nearest;
    const struct forecast_shape wanted = {.workers = 16, .nodes = 2, .stage = 0};
    inputs.node_bytes = figure(16, 2, 1).node;
    ck_assert(forecast_nearest(&inputs, &wanted, 8, &nearest));
    ck_assert(nearest.stage == 1 && nearest.nodes == 2 && nearest.workers == 16);
    inputs.node_bytes = figure(16, 2, 3).node;
    ck_assert(forecast_nearest(&inputs, &wanted, 8, &nearest));
    ck_assert(nearest.stage == 3 && nearest.nodes == 2 && nearest.workers == 16);
    inputs.node_bytes = figure(10, 2, 3).node;
    ck_assert(forecast_nearest(&inputs, &wanted, 8, &nearest));
    ck_assert(nearest.nodes == 2 && nearest.workers == 10);
    inputs.node_bytes = figure(2, 2, 3).node - 1;
    ck_assert(forecast_nearest(&inputs, &wanted, 8, &nearest));
    ck_assert(nearest.nodes > 2 && forecast_figure(&inputs, &nearest).fits);
    inputs.node_bytes = (double)inputs.work_bytes; /* one worker's activations alone */
    ck_assert(!forecast_nearest(&inputs, &wanted, 64, &nearest));
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

int main(void)
{
    return suite_run(
        "plan", (const TTest *[]){test_forecast_shared_memory_does_not_grow_with_workers,
                                  test_forecast_stage_one_divides_moments_by_nodes,
                                  test_forecast_stages_two_and_three_divide_sums_and_weights,
                                  test_forecast_a_pipeline_fills_and_drains,
                                  test_forecast_a_step_lasts_as_long_as_its_busiest_worker,
                                  test_forecast_nearest_fits_and_keeps_as_much_as_it_can, NULL});
}
