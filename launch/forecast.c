/* See forecast.h. */
#include "launch/forecast.h"

#include <math.h>

#include "shard/node_state.h"

static int64_t quotient_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t pipeline_of(const struct forecast_shape *shape)
{
    return shape->pipeline > 1 ? shape->pipeline : 1;
}

static void memory_figure(const struct forecast_inputs *inputs, const struct forecast_shape *shape,
                          struct forecast_figures *figures)
{
    const double elements = (double)inputs->elements;
    const double nodes = (double)shape->nodes;
    const double owned = shape->stage == 0 ? elements : elements / nodes;
    const double local = (double)quotient_up(shape->workers, shape->nodes);
    const double passing = (double)(inputs->table_elements + inputs->layer_elements);
    const double divided = elements / nodes + passing * (1.0 - 1.0 / nodes);
    figures->weights = 4.0 * (shape->stage >= 3 ? fmin(divided, elements) : elements);
    figures->sums = 8.0 * (shape->stage >= 2 ? fmin(divided, elements) : elements);
    figures->moments = 8.0 * owned;
    figures->records = local * (double)sizeof(struct node_owner) +
                       (double)inputs->blocks *
                           (double)(sizeof(double) + FINGERPRINT_ARRAYS * sizeof(struct digest));
    figures->snapshot = 12.0 * elements / nodes;
    figures->shared =
        figures->weights + figures->sums + figures->moments + figures->records + figures->snapshot;
    /* Between nodes a worker receives the complete sums of what it owns beside the node's: of all
     * groups under stage 1, of the one under way from stage 2 on. */
    const double received = shape->nodes == 1 || shape->stage == 0 ? 0.0
                            : shape->stage == 1
                                ? 8.0 * owned / local
                                : 8.0 * (double)inputs->table_elements / nodes / local;
    figures->worker =
        (double)inputs->work_bytes + inputs->process_bytes + FORECAST_WRITER_BYTES + received;
    figures->coordinator = inputs->process_bytes;
    figures->node =
        figures->shared + local * figures->worker + figures->coordinator + FORECAST_PUBLISHER_BYTES;
    figures->all_workers = nodes * figures->shared + (double)shape->workers * figures->worker +
                           FORECAST_PUBLISHER_BYTES;
    figures->checkpoint = 12.0 * elements;
    figures->fits = figures->node <= inputs->node_bytes;
}

static void time_figure(const struct forecast_inputs *inputs, const struct forecast_shape *shape,
                        struct forecast_figures *figures)
{
    const double elements = (double)inputs->elements;
    const double nodes = (double)shape->nodes;
    const double tables = (double)inputs->table_elements;
    const double slot = inputs->slot_flops / inputs->worker_flops;
    const double local = (double)(shape->workers / shape->nodes);
    const int64_t sections = pipeline_of(shape);
    const int64_t passed = quotient_up(inputs->slots, shape->workers / sections) + sections - 1;
    figures->compute = (double)passed * slot / (double)sections;
    const double updated = shape->stage == 0 ? elements / local : elements / (nodes * local);
    figures->update = updated * inputs->element_seconds;
    if (shape->nodes > 1) {
        /* A ring or a halving tree sends (n-1)/n of the data once for the scatter of sums, and
         * once more for what comes back: sums again under stage 0, weights under stage 1. */
        const double share = (nodes - 1.0) / nodes;
        const double rounds =
            shape->stage >= 2 ? (double)quotient_up(inputs->slots, shape->workers) : 1.0;
        const double gathers = shape->stage >= 3 ? 4.0 * (2.0 * elements + tables) * share : 0.0;
        const double sums = 8.0 * elements * share + gathers;
        const double back = shape->stage >= 3   ? 0.0
                            : shape->stage == 0 ? 8.0 * elements * share
                                                : 4.0 * elements * share;
        figures->traffic = rounds * sums + back;
        /* States and their gradients, where a pipeline is longer than a node. */
        const int64_t crossings = quotient_up(sections, shape->workers / shape->nodes) - 1;
        figures->traffic += 2.0 * (double)(inputs->slots * crossings * inputs->state_bytes) / nodes;
        const double hidden = slot / 2.0; /* the last slot's backward, about */
        figures->network = rounds * fmax(0.0, sums / inputs->network_bytes - hidden) +
                           back / inputs->network_bytes;
    }
    figures->step = figures->compute + figures->update + figures->network;
    figures->run = figures->step * (double)inputs->steps;
}

struct forecast_figures forecast_figure(const struct forecast_inputs *inputs,
                                        const struct forecast_shape *shape)
{
    struct forecast_figures figures = {0};
    memory_figure(inputs, shape, &figures);
    time_figure(inputs, shape, &figures);
    return figures;
}

/* With the wanted stage or one that divides more, lowest first. */
static bool stages_try(const struct forecast_inputs *inputs, int64_t wanted_stage,
                       struct forecast_shape *shape)
{
    const bool pipeline = pipeline_of(shape) > 1; /* over nodes it goes with stages 0 and 1 */
    const int64_t highest = shape->nodes > 1 && !pipeline ? FORECAST_STAGE_MAX : 1;
    shape->stage = wanted_stage > 1 ? wanted_stage : 1;
    while (!forecast_figure(inputs, shape).fits) {
        if (shape->stage >= highest) {
            return false;
        }
        shape->stage++;
    }
    return shape->workers % pipeline_of(shape) == 0;
}

bool forecast_nearest(const struct forecast_inputs *inputs, const struct forecast_shape *wanted,
                      int64_t nodes_max, struct forecast_shape *nearest)
{
    *nearest = *wanted;
    const int64_t local = quotient_up(wanted->workers, wanted->nodes);
    if (stages_try(inputs, wanted->stage, nearest)) {
        return true;
    }
    for (int64_t each = local - 1; each >= 1; each--) {
        nearest->workers = each * wanted->nodes;
        if (stages_try(inputs, wanted->stage, nearest)) {
            return true;
        }
    }
    for (nearest->nodes = wanted->nodes + 1; nearest->nodes <= nodes_max; nearest->nodes++) {
        for (int64_t each = local; each >= 1; each--) {
            nearest->workers = each * nearest->nodes;
            if (stages_try(inputs, wanted->stage, nearest)) {
                return true;
            }
        }
    }
    return false;
}
