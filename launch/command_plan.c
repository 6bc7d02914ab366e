/* plan: what a run will take, before anything starts. A few steps of two layers of the model run as
 * a real job on this machine; all else follows from sizes (forecast.h). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "launch/commands.h"
#include "launch/job.h"
#include "launch/plan_sizes.h"
#include "launch/plan_view.h"
#include "launch/run_folder.h"
#include "launch/supervise.h"
#include "shard/topology.h"

enum {
    WORKERS_MAX = 65536,
    NODES_MAX = 65536,
    NEAREST_NODES_MAX = 4096,
    MEASURED_LAYERS = 2,
    MEASURED_STEPS = 4,         /* the first is not counted */
    EXCHANGED_FLOATS = 8 << 20, /* more than caches hold: what comes from another core is in none */
    EXCHANGED_TURNS = 3,
};
static const double measured_flops = 1e11; /* of one slot of the measurement: about a second */
static const double bytes_of_gb = 1e9;

struct planning {
    const struct command_line *line;
    struct config config;   /* as given */
    struct config measured; /* cut down */
    struct forecast_shape shape;
    struct forecast_inputs inputs;
    struct step_record best; /* quickest step of the measurement */
    double memory_bytes;     /* of it, highest */
    int64_t measuring_workers;
};

/* The same model with fewer layers, and one slot a worker (or a group of tensor members, where
 * there are so many), small enough to be done in a second. */
static void measured_choose(struct planning *planning, int64_t workers)
{
    struct config *const measured = &planning->measured;
    *measured = planning->config;
    if (measured->model.layers > MEASURED_LAYERS) {
        measured->model.layers = MEASURED_LAYERS;
    }
    const int64_t length = measured->data.sequence_tokens;
    int64_t sequences = measured->step.slot_tokens / length;
    const int64_t most = (int64_t)(measured_flops / plan_sizes_sequence_flops(measured)) + 1;
    sequences = sequences < most ? sequences : most;
    const int64_t tensor = planning->config.shard.tensor;
    measured->shard.tensor = workers % tensor == 0 ? tensor : 1;
    measured->step.slot_tokens = sequences * length;
    measured->step.tokens = measured->step.slot_tokens * workers / measured->shard.tensor;
    measured->shard.simulate_nodes = 0;
    measured->shard.pipeline = 1;
    measured->evaluation.every_steps = 0;
}

static enum status shape_read(struct planning *planning, struct error *error)
{
    const struct command_line *const line = planning->line;
    struct forecast_shape *const shape = &planning->shape;
    TRY(command_line_integer(line, "nodes", 1, NODES_MAX, 1, &shape->nodes, error));
    TRY(command_line_integer(line, "workers", 1, WORKERS_MAX, process_core_count() * shape->nodes,
                             &shape->workers, error));
    if (shape->workers < shape->nodes) {
        FAIL(error, STATUS_INPUT, "--workers %" PRId64 " on --nodes %" PRId64 ": a node needs one",
             shape->workers, shape->nodes);
    }
    shape->stage = planning->config.shard.stage;
    shape->pipeline = planning->config.shard.pipeline;
    shape->tensor = planning->config.shard.tensor;
    shape->recompute = planning->config.shard.activation_recompute;
    TRY(topology_team_check(shape->workers, shape->pipeline, shape->tensor, error));
    struct forecast_inputs *const inputs = &planning->inputs;
    TRY(command_line_real(line, "memory", 0.001, 1e6, (double)process_machine_bytes() / bytes_of_gb,
                          &inputs->node_bytes, error));
    inputs->node_bytes *= bytes_of_gb;
    TRY(command_line_real(line, "network", 0.001, 1e6, 10.0, &inputs->network_bytes, error));
    inputs->network_bytes *= 1e9 / 8.0;
    return STATUS_OK;
}

static enum status planning_read(struct planning *planning, struct error *error)
{
    const struct command_line *const line = planning->line;
    const char *sets[COMMAND_LINE_REPEATS_MAX];
    const int64_t count = command_line_texts(line, "set", sets);
    TRY(config_read(line->arguments[0], sets, count, &planning->config, error));
    TRY(run_config_resolve(&planning->config, error));
    return shape_read(planning, error);
}

static void step_note(void *context, const struct step_record *record)
{
    struct planning *const planning = context;
    planning->memory_bytes = fmax(planning->memory_bytes, record->memory_bytes);
    if (record->step == 1) {
        return;
    }
    if (planning->best.seconds <= 0.0 || record->seconds < planning->best.seconds) {
        planning->best = *record;
    }
}

static enum status planning_prepare(void *context, struct job_options *options, struct error *error)
{
    struct planning *const planning = context;
    TRY(planning_read(planning, error));
    planning->measuring_workers = job_world() - 1;
    measured_choose(planning, planning->measuring_workers);
    *options = (struct job_options){
        .config = &planning->measured,
        .last_step = MEASURED_STEPS,
        .listener = {.step = step_note, .context = planning},
    };
    return STATUS_OK;
}

/* Seconds a byte to give another member of a node what one has and to add what it has. */
static double exchange_measure(void)
{
    float *const given = memory_take(EXCHANGED_FLOATS, sizeof *given, "plan");
    float *const sums = memory_take(EXCHANGED_FLOATS, sizeof *sums, "plan");
    const double bytes = EXCHANGED_FLOATS * sizeof *sums;
    double best = 0.0;
    for (int64_t turn = 0; turn < EXCHANGED_TURNS; turn++) {
        const int64_t start_ns = clock_now_ns();
        memcpy(given, sums, EXCHANGED_FLOATS * sizeof *sums);
        for (int64_t i = 0; i < EXCHANGED_FLOATS; i++) {
            sums[i] += given[i];
        }
        const double seconds = clock_seconds_since(start_ns) / bytes;
        best = turn == 0 || seconds < best ? seconds : best;
    }
    memory_release(sums);
    memory_release(given);
    return best;
}

/* What follows from sizes alone. */
static enum status inputs_size(struct planning *planning, const struct plan_sizes *sizes,
                               struct error *error)
{
    struct forecast_inputs *const inputs = &planning->inputs;
    inputs->elements = sizes->elements;
    inputs->blocks = sizes->blocks;
    inputs->table_elements = sizes->table_elements;
    inputs->layer_elements = sizes->layer_elements;
    inputs->state_bytes = sizes->state_bytes;
    memcpy(inputs->exchange_bytes, sizes->exchange_bytes, sizeof inputs->exchange_bytes);
    inputs->slots = sizes->slots;
    inputs->slot_flops = sizes->slot_flops;
    inputs->steps = planning->config.optimizer.total_steps;
    inputs->kept = planning->config.checkpoint.keep;
    return plan_sizes_works(&planning->config, inputs, error);
}

/* From the measurement to what forecast_figure wants. */
static enum status inputs_measure(struct planning *planning, struct error *error)
{
    struct plan_sizes measured;
    struct forecast_work work;
    TRY(plan_sizes_find(&planning->measured, &measured, error));
    TRY(plan_sizes_work(&planning->measured, &work, error));
    struct forecast_inputs *const inputs = &planning->inputs;
    const double workers = (double)planning->measuring_workers;
    const struct step_record *const best = &planning->best;
    inputs->exchange_seconds = exchange_measure();
    struct forecast_inputs probe = *inputs;
    probe.elements = measured.elements;
    probe.blocks = measured.blocks;
    probe.worker_flops = 1.0; /* its times are not asked for */
    memcpy(probe.exchange_bytes, measured.exchange_bytes, sizeof probe.exchange_bytes);
    const struct forecast_shape shape = {.workers = planning->measuring_workers,
                                         .nodes = 1,
                                         .tensor = planning->measured.shard.tensor,
                                         .recompute = planning->shape.recompute};
    const struct forecast_figures figures = forecast_figure(&probe, &shape);
    const double shared = figures.shared - figures.snapshot; /* nothing was written */
    const double busy = best->seconds * (1.0 - best->wait_share);
    const double computing = fmax(busy / 2.0, busy - forecast_exchange(&probe, &shape));
    inputs->worker_flops =
        measured.slot_flops * forecast_again(shape.recompute) / (computing * (double)shape.tensor);
    inputs->element_seconds =
        best->seconds * best->wait_share * workers / (double)measured.elements;
    inputs->process_bytes =
        fmax(0.0, (planning->memory_bytes - shared) / workers - (double)work.mean);
    return STATUS_OK;
}

/* Words of a command line that ask for `shape`, where it is not what was asked for. */
static void shape_words(const struct forecast_shape *shape, const struct forecast_shape *asked,
                        struct text *words)
{
    text_add(words, "--workers %" PRId64 " --nodes %" PRId64 " --set shard.stage=%" PRId64,
             shape->workers, shape->nodes, shape->stage);
    if (shape->tensor != asked->tensor) {
        text_add(words, " --set shard.tensor=%" PRId64, shape->tensor);
    }
    if (shape->pipeline != asked->pipeline) {
        text_add(words, " --set shard.pipeline=%" PRId64, shape->pipeline);
    }
    if (shape->recompute != asked->recompute) {
        text_add(words, " --set shard.activation_recompute=%s",
                 shape->recompute == MODEL_RECOMPUTE_LAYER ? "layer" : "attention");
    }
}

static enum status fit_check(const struct planning *planning, struct error *error)
{
    const struct forecast_inputs *const inputs = &planning->inputs;
    const struct forecast_shape *const shape = &planning->shape;
    const struct forecast_figures figures = forecast_figure(inputs, shape);
    if (figures.fits) {
        return STATUS_OK;
    }
    struct forecast_shape nearest;
    if (!forecast_nearest(inputs, shape, NEAREST_NODES_MAX, &nearest)) {
        FAIL(error, STATUS_INPUT,
             "a node needs %.2f GB and has %.2f GB, and no number of workers or nodes and no way "
             "to divide the network changes that: %.2f GB are weights and exact sums, %.2f GB a "
             "worker's activations at step.slot_tokens %" PRId64,
             figures.node / bytes_of_gb, inputs->node_bytes / bytes_of_gb,
             (figures.weights + figures.sums) / bytes_of_gb,
             (double)forecast_work_of(inputs, shape).mean / bytes_of_gb,
             planning->config.step.slot_tokens);
    }
    struct text words = {0};
    shape_words(&nearest, shape, &words);
    (void)error_set(error, STATUS_INPUT,
                    "a node needs %.2f GB and has %.2f GB; what fits is %s (%.2f GB a node)",
                    figures.node / bytes_of_gb, inputs->node_bytes / bytes_of_gb, words.data,
                    forecast_figure(inputs, &nearest).node / bytes_of_gb);
    text_deinit(&words);
    return STATUS_INPUT;
}

static enum status plan_as_rank(struct planning *planning, struct error *error)
{
    struct coordinator_result result = {0};
    TRY(job_run(planning_prepare, planning, &result, error));
    struct plan_sizes sizes;
    TRY(plan_sizes_find(&planning->config, &sizes, error));
    TRY(inputs_size(planning, &sizes, error));
    TRY(inputs_measure(planning, error));
    const struct plan_view view = {.config = &planning->config,
                                   .inputs = &planning->inputs,
                                   .shape = &planning->shape,
                                   .parameters = sizes.parameters};
    if (command_line_has(planning->line, "json")) {
        plan_view_json(&view);
    } else {
        plan_view_text(&view);
    }
    return fit_check(planning, error);
}

static enum status plan_run(const struct command_line *line, struct error *error)
{
    struct planning *const planning = memory_take(1, sizeof *planning, "plan");
    planning->line = line;
    enum status status;
    if (job_is_child()) {
        status = plan_as_rank(planning, error);
    } else {
        status = planning_read(planning, error);
        if (status == STATUS_OK) {
            const int64_t local =
                (planning->shape.workers + planning->shape.nodes - 1) / planning->shape.nodes;
            const int64_t cores = process_core_count();
            const struct supervision once = {.line = line,
                                             .workers = local < cores ? local : cores};
            status = supervise(&once, error);
        }
    }
    memory_release(planning);
    return status;
}

static const struct command_option plan_options[] = {
    {.name = "workers",
     .argument = "N",
     .help = "workers in all; this machine's cores times the nodes by default"},
    {.name = "nodes", .argument = "K", .help = "machines like this one; 1 by default"},
    {.name = "memory", .argument = "GB", .help = "memory of a node; this machine's by default"},
    {.name = "network", .argument = "GBIT", .help = "speed between nodes in Gbit/s; 10 by default"},
    {.name = "set",
     .argument = "KEY=VALUE",
     .help = "change a key of the configuration",
     .repeats = true},
    {.name = "json", .help = "print one JSON object"},
};

const struct command command_plan = {
    .name = "plan",
    .arguments = "CONFIG",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "say what a run will take before it starts",
    .detail =
        "Memory of a node and of a worker by part, seconds a step, finish date, traffic, disk, "
        "and what other shapes would give: workers, nodes, stages, tensor members, pipelines, "
        "computing again. Measures a few steps of two layers on this machine, some seconds; "
        "writes nothing. A shape that does not fit into the memory is refused (exit code 2), and "
        "the nearest that does is named.",
    .options = plan_options,
    .option_count = ARRAY_LENGTH(plan_options),
    .run = plan_run,
};
