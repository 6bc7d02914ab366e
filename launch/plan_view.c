/* See plan_view.h. */
#include "launch/plan_view.h"

#include "base/clock.h"
#include "launch/print.h"

enum { ALTERNATIVES_MAX = 24 };
static const double bytes_of_gb = 1e9;
static const char *const recompute_names[MODEL_RECOMPUTES] = {"none", "attention", "layer"};

struct alternatives {
    struct forecast_shape shapes[ALTERNATIVES_MAX];
    int64_t count;
};

/* Only what can be. */
static void alternative_add(struct alternatives *list, const struct forecast_inputs *inputs,
                            struct forecast_shape shape)
{
    if (list->count < ALTERNATIVES_MAX && shape.workers >= shape.nodes &&
        shape.workers % (shape.pipeline * shape.tensor) == 0 &&
        forecast_work_of(inputs, &shape).mean > 0) {
        list->shapes[list->count++] = shape;
    }
}

/* Shapes to compare with: half the workers, other ways to divide the network, other stages, more
 * nodes. */
static void alternatives_list(const struct plan_view *view, struct alternatives *list)
{
    const struct forecast_inputs *const inputs = view->inputs;
    struct forecast_shape other = *view->shape;
    list->count = 0;
    other.workers = view->shape->workers / 2;
    alternative_add(list, inputs, other);
    other = *view->shape;
    for (int again = 0; again < MODEL_RECOMPUTES; again++) {
        other.recompute = (enum model_recompute)again;
        if (other.recompute != view->shape->recompute) {
            alternative_add(list, inputs, other);
        }
    }
    other = *view->shape;
    for (int64_t i = 0; i < FORECAST_CUTS_MAX && inputs->tensors[i] > 0; i++) {
        other.tensor = inputs->tensors[i];
        if (other.tensor != view->shape->tensor) {
            alternative_add(list, inputs, other);
        }
    }
    other = *view->shape;
    for (int64_t i = 0; i < FORECAST_CUTS_MAX && inputs->pipelines[i] > 0; i++) {
        other.pipeline = inputs->pipelines[i];
        if (other.pipeline != view->shape->pipeline) {
            alternative_add(list, inputs, other);
        }
    }
    other = *view->shape;
    for (int64_t stage = 0; stage <= FORECAST_STAGE_MAX && other.nodes > 1; stage++) {
        other.stage = stage;
        if (stage != view->shape->stage) {
            alternative_add(list, inputs, other);
        }
    }
    other = *view->shape;
    for (int64_t more = 2; more <= 8; more *= 2) {
        other.nodes = more * view->shape->nodes;
        other.workers = view->shape->workers / view->shape->nodes * other.nodes;
        alternative_add(list, inputs, other);
    }
}

static void shape_add(const struct plan_view *view, const struct forecast_shape *shape,
                      struct text *out)
{
    const struct forecast_figures figures = forecast_figure(view->inputs, shape);
    char finish[CLOCK_TEXT_BYTES];
    clock_wall_later_text(figures.run, finish);
    text_add(out, "%9lld %6lld %6lld %7lld %9lld  %-9s %10.2f %9.3f %10.3g %11.3f  %.10s%s\n",
             (long long)shape->workers, (long long)shape->nodes, (long long)shape->stage,
             (long long)shape->tensor, (long long)shape->pipeline,
             recompute_names[shape->recompute], figures.node / bytes_of_gb,
             figures.worker / bytes_of_gb, figures.step, figures.traffic / bytes_of_gb, finish,
             figures.fits ? "" : "  does not fit");
}

static void memory_add(const struct plan_view *view, const struct forecast_figures *figures,
                       struct text *out)
{
    const struct forecast_inputs *const inputs = view->inputs;
    const struct forecast_shape *const shape = view->shape;
    const struct forecast_work work = forecast_work_of(inputs, shape);
    text_add(out, "memory       %.2f GB of the first node's %.2f GB\n", figures->node / bytes_of_gb,
             inputs->node_bytes / bytes_of_gb);
    text_add(
        out,
        "  a node     weights %.3f, exact sums %.3f, moments %.3f, snapshot %.3f, records %.3f\n",
        figures->weights / bytes_of_gb, figures->sums / bytes_of_gb, figures->moments / bytes_of_gb,
        figures->snapshot / bytes_of_gb, figures->records / bytes_of_gb);
    text_add(out,
             "  a worker   %.3f: activations and gradients %.3f, libraries, MPI, data %.3f, HDF5 "
             "%.3f, sums on their way %.3f\n",
             figures->worker / bytes_of_gb, (double)work.mean / bytes_of_gb,
             inputs->process_bytes / bytes_of_gb, FORECAST_WRITER_BYTES / bytes_of_gb,
             figures->received / bytes_of_gb);
    if (shape->tensor > 1) {
        text_add(out, "             one of %lld that share a slot's layers\n",
                 (long long)shape->tensor);
    }
    if (shape->pipeline > 1) {
        text_add(out,
                 "             of a pipeline of %lld; activations and gradients %.3f at most\n",
                 (long long)shape->pipeline, (double)work.most / bytes_of_gb);
    }
}

static void time_add(const struct plan_view *view, const struct forecast_figures *figures,
                     struct text *out)
{
    const struct forecast_inputs *const inputs = view->inputs;
    char duration[CLOCK_TEXT_BYTES];
    char finish[CLOCK_TEXT_BYTES];
    clock_duration_text(figures->run, duration);
    clock_wall_later_text(figures->run, finish);
    text_add(out,
             "time         %.3g s a step: slots %.3g, update %.3g, network %.3g "
             "(measured here: %.1f GF/s a worker)\n",
             figures->step, figures->compute, figures->update, figures->network,
             inputs->worker_flops * 1e-9);
    if (view->shape->tensor > 1) {
        text_add(out,
                 "             of the slots' time %.3g s exchange between tensor members "
                 "(measured here: %.1f GB/s)\n",
                 figures->exchange, 1.0 / (inputs->exchange_seconds * bytes_of_gb));
    }
    if (view->shape->pipeline > 1) {
        text_add(out,
                 "             of the slots' time %.0f %% until the pipeline is full and empty\n",
                 100.0 * figures->bubble);
    }
    text_add(out, "             %lld steps take %s, until %.10s\n", (long long)inputs->steps,
             duration, finish);
}

void plan_view_text(const struct plan_view *view)
{
    const struct config *const config = view->config;
    const struct forecast_inputs *const inputs = view->inputs;
    const struct forecast_shape *const shape = view->shape;
    const struct forecast_figures figures = forecast_figure(inputs, shape);
    struct text out = {0};
    text_add(&out, "model        %.1f M parameters in %lld layers of %lld\n",
             (double)view->parameters * 1e-6, (long long)config->model.layers,
             (long long)config->model.hidden);
    text_add(&out,
             "step         %lld tokens in %lld slots; %lld workers on %lld node%s, stage %lld\n",
             (long long)config->step.tokens, (long long)inputs->slots, (long long)shape->workers,
             (long long)shape->nodes, shape->nodes == 1 ? "" : "s", (long long)shape->stage);
    memory_add(view, &figures, &out);
    time_add(view, &figures, &out);
    if (shape->nodes > 1) {
        text_add(&out, "traffic      %.3f GB a step from each node, at %.3g Gbit/s\n",
                 figures.traffic / bytes_of_gb, inputs->network_bytes * 8e-9);
    }
    text_add(&out,
             "disk         %.2f GB a checkpoint, %.2f GB for the %lld that are kept and the next\n",
             figures.checkpoint / bytes_of_gb,
             figures.checkpoint * (double)(inputs->kept + 1) / bytes_of_gb,
             (long long)inputs->kept);
    text_add(&out, "\n  workers  nodes  stage  tensor  pipeline  recompute  GB a node  a worker   "
                   "s a step  GB traffic  finished\n");
    struct alternatives list;
    alternatives_list(view, &list);
    shape_add(view, shape, &out);
    for (int64_t i = 0; i < list.count; i++) {
        shape_add(view, &list.shapes[i], &out);
    }
    print_text(&out);
}

static json_t *figures_json(const struct forecast_shape *shape,
                            const struct forecast_figures *figures)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                     "tensor", (json_int_t)shape->tensor, "pipeline", (json_int_t)shape->pipeline,
                     "workers", (json_int_t)shape->workers, "nodes", (json_int_t)shape->nodes,
                     "stage", (json_int_t)shape->stage, "recompute",
                     recompute_names[shape->recompute], "fits", figures->fits ? 1 : 0, "node_mb",
                     figures->node * 1e-6, "shared_mb", figures->shared * 1e-6, "worker_mb",
                     figures->worker * 1e-6, "all_workers_mb", figures->all_workers * 1e-6,
                     "traffic_mb", figures->traffic * 1e-6, "step_seconds", figures->step,
                     "run_seconds", figures->run);
}

void plan_view_json(const struct plan_view *view)
{
    const struct forecast_inputs *const inputs = view->inputs;
    const struct forecast_figures figures = forecast_figure(inputs, view->shape);
    json_t *const line = figures_json(view->shape, &figures);
    json_t *const parts = json_pack(
        "{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
        "parameters", (json_int_t)view->parameters, "weights_mb", figures.weights * 1e-6, "sums_mb",
        figures.sums * 1e-6, "moments_mb", figures.moments * 1e-6, "snapshot_mb",
        figures.snapshot * 1e-6, "records_mb", figures.records * 1e-6, "work_mb",
        (double)forecast_work_of(inputs, view->shape).mean * 1e-6, "received_mb",
        figures.received * 1e-6, "process_mb", inputs->process_bytes * 1e-6, "compute_seconds",
        figures.compute, "exchange_seconds", figures.exchange, "bubble_share", figures.bubble,
        "update_seconds", figures.update, "network_seconds", figures.network, "worker_gfs",
        inputs->worker_flops * 1e-9, "checkpoint_mb", figures.checkpoint * 1e-6);
    (void)json_object_update(line, parts);
    json_decref(parts);
    json_t *const others = json_array();
    struct alternatives list;
    alternatives_list(view, &list);
    for (int64_t i = 0; i < list.count; i++) {
        const struct forecast_figures other = forecast_figure(inputs, &list.shapes[i]);
        (void)json_array_append_new(others, figures_json(&list.shapes[i], &other));
    }
    (void)json_object_set_new(line, "alternatives", others);
    print_json(line);
}
