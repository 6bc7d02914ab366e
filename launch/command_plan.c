/* plan: what a run will take, before anything starts. A few steps of two layers of the model run as
 * a real job on this machine; all else follows from sizes (forecast.h). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/process.h"
#include "data_pipeline/data_source.h"
#include "launch/commands.h"
#include "launch/forecast.h"
#include "launch/job.h"
#include "launch/print.h"
#include "launch/run_folder.h"
#include "launch/supervise.h"
#include "model/model.h"
#include "shard/topology.h"

enum {
    WORKERS_MAX = 65536,
    NODES_MAX = 65536,
    NEAREST_NODES_MAX = 4096,
    MEASURED_LAYERS = 2,
    MEASURED_STEPS = 4, /* the first is not counted */
    ALTERNATIVES_MAX = 8,
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

/* Sizes of a configuration, from the data it would see. */
struct sizes {
    int64_t elements, blocks, table_elements, layer_elements, parameters, work_bytes,
        work_bytes_most, state_bytes, slots;
    double slot_flops;
};

/* Useful operations of a full slot of full sequences. */
static double slot_flops(const struct config *config, const struct batch_limits *limits)
{
    const int64_t length = config->data.sequence_tokens;
    const int64_t count = config->step.slot_tokens / length;
    int32_t *const starts = memory_take((size_t)count + 1, sizeof *starts, "plan");
    for (int64_t b = 0; b <= count; b++) {
        starts[b] = (int32_t)(b * length);
    }
    const struct batch full = {.sequence_count = count,
                               .token_count = count * length,
                               .target_count = limits->target_count,
                               .starts = starts};
    const double flops = model_train_flops(&config->model, &full);
    memory_release(starts);
    return flops;
}

/* Mean and largest of a pipeline's sections; of the whole network without one. */
static enum status work_find(const struct config *config, const struct batch_limits *limits,
                             struct sizes *sizes, struct error *error)
{
    struct kernels kernels;
    TRY(kernels_open(&kernels, kernels_level_best(), error));
    struct model_role role = {.trains = true,
                              .tensor_parts = config->numerics.tensor_parts,
                              .tensor_count = config->shard.tensor,
                              .recompute = config->shard.activation_recompute,
                              .section_count = config->shard.pipeline};
    int64_t sum = 0;
    sizes->work_bytes_most = 0;
    for (role.section = 0; role.section < role.section_count; role.section++) {
        int64_t bytes;
        TRY(model_work_bytes(&kernels, &config->model, limits, &role, &bytes, error));
        sum += bytes;
        sizes->work_bytes_most = bytes > sizes->work_bytes_most ? bytes : sizes->work_bytes_most;
    }
    sizes->work_bytes = sum / role.section_count;
    sizes->state_bytes = limits->token_count * config->model.hidden * (int64_t)sizeof(float);
    return STATUS_OK;
}

static enum status sizes_find(const struct config *config, struct sizes *sizes, struct error *error)
{
    struct data_source *source;
    TRY(data_source_open(&source, &config->data, &config->step, config->seed,
                         config->model.vocabulary, error));
    const struct batch_limits limits = data_source_limits(source);
    sizes->slots = data_source_slots(source);
    data_source_close(source);
    sizes->slot_flops = slot_flops(config, &limits);
    TRY(work_find(config, &limits, sizes, error));
    struct parameter_table table;
    TRY(parameter_table_init(&table, &config->model, error));
    sizes->elements = table.element_count;
    sizes->blocks = table.element_count / PARAMETER_BLOCK;
    sizes->table_elements = table.groups[parameter_embedding_group(&table)].count;
    sizes->layer_elements = 0;
    for (int64_t group = 0; group < table.group_count; group++) {
        const int64_t count = table.groups[group].count;
        if (group != parameter_embedding_group(&table) && count > sizes->layer_elements) {
            sizes->layer_elements = count;
        }
    }
    sizes->parameters = table.parameter_count;
    parameter_table_deinit(&table);
    return STATUS_OK;
}

/* The same model with fewer layers, and one slot a worker, small enough to be done in a second. */
static void measured_choose(struct planning *planning, int64_t workers)
{
    struct config *const measured = &planning->measured;
    *measured = planning->config;
    if (measured->model.layers > MEASURED_LAYERS) {
        measured->model.layers = MEASURED_LAYERS;
    }
    const int64_t length = measured->data.sequence_tokens;
    const struct batch_limits limits = {.target_count = length / 4};
    struct config one = *measured;
    one.step.slot_tokens = length;
    const double sequence_flops = slot_flops(&one, &limits);
    int64_t sequences = measured->step.slot_tokens / length;
    const int64_t most = (int64_t)(measured_flops / sequence_flops) + 1;
    sequences = sequences < most ? sequences : most;
    measured->step.slot_tokens = sequences * length;
    measured->step.tokens = measured->step.slot_tokens * workers;
    measured->shard.simulate_nodes = 0;
    measured->shard.pipeline = 1;
    measured->shard.tensor = 1;
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
    TRY(topology_team_check(shape->workers, shape->pipeline, planning->config.shard.tensor, error));
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

/* From the measurement to what forecast_figure wants. */
static enum status inputs_find(struct planning *planning, struct sizes *sizes, struct error *error)
{
    struct sizes measured;
    TRY(sizes_find(&planning->measured, &measured, error));
    TRY(sizes_find(&planning->config, sizes, error));
    const double workers = (double)planning->measuring_workers;
    const struct step_record *const best = &planning->best;
    const double busy = best->seconds * (1.0 - best->wait_share);
    struct forecast_inputs *const inputs = &planning->inputs;
    inputs->elements = sizes->elements;
    inputs->blocks = sizes->blocks;
    inputs->table_elements = sizes->table_elements;
    inputs->layer_elements = sizes->layer_elements;
    inputs->work_bytes = sizes->work_bytes;
    inputs->work_bytes_most = sizes->work_bytes_most;
    inputs->state_bytes = sizes->state_bytes;
    inputs->slots = sizes->slots;
    inputs->slot_flops = sizes->slot_flops;
    inputs->steps = planning->config.optimizer.total_steps;
    inputs->kept = planning->config.checkpoint.keep;
    inputs->worker_flops = measured.slot_flops / busy;
    inputs->element_seconds =
        best->seconds * best->wait_share * workers / (double)measured.elements;
    struct forecast_inputs probe = *inputs;
    probe.elements = measured.elements;
    probe.blocks = measured.blocks;
    const struct forecast_shape shape = {.workers = planning->measuring_workers, .nodes = 1};
    const struct forecast_figures figures = forecast_figure(&probe, &shape);
    const double shared = figures.shared - figures.snapshot; /* nothing was written */
    inputs->process_bytes =
        fmax(0.0, (planning->memory_bytes - shared) / workers - (double)measured.work_bytes);
    return STATUS_OK;
}

static json_t *figures_json(const struct forecast_shape *shape,
                            const struct forecast_figures *figures)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "pipeline",
                     (json_int_t)shape->pipeline, "workers", (json_int_t)shape->workers, "nodes",
                     (json_int_t)shape->nodes, "stage", (json_int_t)shape->stage, "fits",
                     figures->fits ? 1 : 0, "node_mb", figures->node * 1e-6, "shared_mb",
                     figures->shared * 1e-6, "worker_mb", figures->worker * 1e-6, "all_workers_mb",
                     figures->all_workers * 1e-6, "traffic_mb", figures->traffic * 1e-6,
                     "step_seconds", figures->step, "run_seconds", figures->run);
}

/* Shapes to compare with: half and double the workers, the other stages, more nodes. */
static int64_t alternatives_list(const struct forecast_shape *shape,
                                 struct forecast_shape list[ALTERNATIVES_MAX])
{
    int64_t count = 0;
    struct forecast_shape other = *shape;
    other.workers = shape->workers / 2;
    if (other.workers >= shape->nodes && other.workers % shape->pipeline == 0) {
        list[count++] = other;
    }
    if (shape->nodes > 1) {
        other = *shape;
        for (int64_t stage = 0; stage <= (shape->pipeline > 1 ? 1 : FORECAST_STAGE_MAX); stage++) {
            other.stage = stage;
            if (stage != shape->stage) {
                list[count++] = other;
            }
        }
    }
    const int64_t local = shape->workers / shape->nodes;
    other = *shape;
    for (int64_t nodes = 2 * shape->nodes; nodes <= 8 * shape->nodes; nodes *= 2) {
        other.nodes = nodes;
        other.workers = local * nodes;
        if (other.workers % shape->pipeline == 0) {
            list[count++] = other;
        }
    }
    return count;
}

static void alternative_print(const struct planning *planning, const struct forecast_shape *shape,
                              struct text *out)
{
    const struct forecast_figures figures = forecast_figure(&planning->inputs, shape);
    char finish[CLOCK_TEXT_BYTES];
    clock_wall_later_text(figures.run, finish);
    text_add(out, "%9lld %6lld %6lld %11.2f %10.3g %12.3f  %.10s%s\n", (long long)shape->workers,
             (long long)shape->nodes, (long long)shape->stage, figures.node / bytes_of_gb,
             figures.step, figures.traffic / bytes_of_gb, finish,
             figures.fits ? "" : "  does not fit");
}

static void plan_print_text(const struct planning *planning, const struct sizes *sizes)
{
    const struct config *const config = &planning->config;
    const struct forecast_inputs *const inputs = &planning->inputs;
    const struct forecast_shape *const shape = &planning->shape;
    const struct forecast_figures figures = forecast_figure(inputs, shape);
    char duration[CLOCK_TEXT_BYTES];
    char finish[CLOCK_TEXT_BYTES];
    clock_duration_text(figures.run, duration);
    clock_wall_later_text(figures.run, finish);
    struct text out = {0};
    text_add(&out, "model        %.1f M parameters in %lld layers of %lld\n",
             (double)sizes->parameters * 1e-6, (long long)config->model.layers,
             (long long)config->model.hidden);
    text_add(&out,
             "step         %lld tokens in %lld slots; %lld workers on %lld node%s, stage %lld\n",
             (long long)config->step.tokens, (long long)inputs->slots, (long long)shape->workers,
             (long long)shape->nodes, shape->nodes == 1 ? "" : "s", (long long)shape->stage);
    text_add(&out, "memory       %.2f GB of the first node's %.2f GB\n", figures.node / bytes_of_gb,
             inputs->node_bytes / bytes_of_gb);
    text_add(
        &out,
        "  a node     weights %.3f, exact sums %.3f, moments %.3f, snapshot %.3f, records %.3f\n",
        figures.weights / bytes_of_gb, figures.sums / bytes_of_gb, figures.moments / bytes_of_gb,
        figures.snapshot / bytes_of_gb, figures.records / bytes_of_gb);
    text_add(
        &out,
        "  a worker   %.3f: activations and gradients %.3f, libraries, MPI, data %.3f, HDF5 %.3f\n",
        figures.worker / bytes_of_gb, (double)inputs->work_bytes / bytes_of_gb,
        inputs->process_bytes / bytes_of_gb, FORECAST_WRITER_BYTES / bytes_of_gb);
    if (shape->pipeline > 1) {
        text_add(&out,
                 "             of a pipeline of %lld; activations and gradients %.3f at most\n",
                 (long long)shape->pipeline, (double)inputs->work_bytes_most / bytes_of_gb);
    }
    text_add(&out,
             "time         %.3g s a step: slots %.3g, update %.3g, network %.3g "
             "(measured here: %.1f GF/s a worker)\n",
             figures.step, figures.compute, figures.update, figures.network,
             inputs->worker_flops * 1e-9);
    text_add(&out, "             %lld steps take %s, until %.10s\n", (long long)inputs->steps,
             duration, finish);
    if (shape->nodes > 1) {
        text_add(&out, "traffic      %.3f GB a step from each node, at %.3g Gbit/s\n",
                 figures.traffic / bytes_of_gb, inputs->network_bytes * 8e-9);
    }
    text_add(&out,
             "disk         %.2f GB a checkpoint, %.2f GB for the %lld that are kept and the next\n",
             figures.checkpoint / bytes_of_gb,
             figures.checkpoint * (double)(inputs->kept + 1) / bytes_of_gb,
             (long long)inputs->kept);
    text_add(&out, "\n  workers  nodes  stage   GB a node   s a step   GB traffic  finished\n");
    struct forecast_shape list[ALTERNATIVES_MAX];
    const int64_t count = alternatives_list(shape, list);
    alternative_print(planning, shape, &out);
    for (int64_t i = 0; i < count; i++) {
        alternative_print(planning, &list[i], &out);
    }
    print_text(&out);
}

static void plan_print_json(const struct planning *planning, const struct sizes *sizes)
{
    const struct forecast_inputs *const inputs = &planning->inputs;
    const struct forecast_figures figures = forecast_figure(inputs, &planning->shape);
    json_t *const line = figures_json(&planning->shape, &figures);
    json_t *const parts =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "parameters",
                  (json_int_t)sizes->parameters, "weights_mb", figures.weights * 1e-6, "sums_mb",
                  figures.sums * 1e-6, "moments_mb", figures.moments * 1e-6, "snapshot_mb",
                  figures.snapshot * 1e-6, "records_mb", figures.records * 1e-6, "work_mb",
                  (double)inputs->work_bytes * 1e-6, "process_mb", inputs->process_bytes * 1e-6,
                  "compute_seconds", figures.compute, "update_seconds", figures.update,
                  "network_seconds", figures.network, "worker_gfs", inputs->worker_flops * 1e-9,
                  "checkpoint_mb", figures.checkpoint * 1e-6);
    (void)json_object_update(line, parts);
    json_decref(parts);
    json_t *const others = json_array();
    struct forecast_shape list[ALTERNATIVES_MAX];
    const int64_t count = alternatives_list(&planning->shape, list);
    for (int64_t i = 0; i < count; i++) {
        const struct forecast_figures other = forecast_figure(inputs, &list[i]);
        (void)json_array_append_new(others, figures_json(&list[i], &other));
    }
    (void)json_object_set_new(line, "alternatives", others);
    print_json(line);
}

static enum status fit_check(const struct planning *planning, struct error *error)
{
    const struct forecast_inputs *const inputs = &planning->inputs;
    const struct forecast_figures figures = forecast_figure(inputs, &planning->shape);
    if (figures.fits) {
        return STATUS_OK;
    }
    struct forecast_shape nearest;
    if (!forecast_nearest(inputs, &planning->shape, NEAREST_NODES_MAX, &nearest)) {
        FAIL(
            error, STATUS_INPUT,
            "a node needs %.2f GB and has %.2f GB, and no number of workers or nodes changes that: "
            "%.2f GB are weights and exact sums, %.2f GB a worker's activations at "
            "step.slot_tokens %" PRId64,
            figures.node / bytes_of_gb, inputs->node_bytes / bytes_of_gb,
            (figures.weights + figures.sums) / bytes_of_gb,
            (double)inputs->work_bytes / bytes_of_gb, planning->config.step.slot_tokens);
    }
    const struct forecast_figures found = forecast_figure(inputs, &nearest);
    FAIL(error, STATUS_INPUT,
         "a node needs %.2f GB and has %.2f GB; what fits is --workers %" PRId64 " --nodes %" PRId64
         " --set shard.stage=%" PRId64 " (%.2f GB a node)",
         figures.node / bytes_of_gb, inputs->node_bytes / bytes_of_gb, nearest.workers,
         nearest.nodes, nearest.stage, found.node / bytes_of_gb);
}

static enum status plan_as_rank(struct planning *planning, struct error *error)
{
    struct coordinator_result result = {0};
    TRY(job_run(planning_prepare, planning, &result, error));
    struct sizes sizes;
    TRY(inputs_find(planning, &sizes, error));
    if (command_line_has(planning->line, "json")) {
        plan_print_json(planning, &sizes);
    } else {
        plan_print_text(planning, &sizes);
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
        "and what other shapes would give. Measures a few steps of two layers on this "
        "machine, some seconds; writes nothing. A shape that does not fit into the memory is "
        "refused (exit code 2), and the nearest that does is named.",
    .options = plan_options,
    .option_count = ARRAY_LENGTH(plan_options),
    .run = plan_run,
};
