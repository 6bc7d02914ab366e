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

static int64_t tensor_of(const struct forecast_shape *shape)
{
    return shape->tensor > 1 ? shape->tensor : 1;
}

static int64_t team_of(const struct forecast_shape *shape)
{
    return pipeline_of(shape) * tensor_of(shape);
}

/* Workers of the fullest node. */
static int64_t local_of(const struct forecast_shape *shape)
{
    return quotient_up(shape->workers, shape->nodes);
}

static int64_t node_of(const struct forecast_shape *shape, int64_t worker)
{
    return worker * shape->nodes / shape->workers;
}

static int64_t cut_index(const int64_t cuts[FORECAST_CUTS_MAX], int64_t cut)
{
    for (int64_t i = 0; i < FORECAST_CUTS_MAX; i++) {
        if (cuts[i] == cut) {
            return i;
        }
    }
    return -1;
}

struct forecast_work forecast_work_of(const struct forecast_inputs *inputs,
                                      const struct forecast_shape *shape)
{
    const int64_t pipeline = cut_index(inputs->pipelines, pipeline_of(shape));
    const int64_t tensor = cut_index(inputs->tensors, tensor_of(shape));
    return pipeline < 0 || tensor < 0 ? (struct forecast_work){0}
                                      : inputs->works[shape->recompute][pipeline][tensor];
}

/* docs/performance.md: measured at 12 x 768. */
double forecast_again(enum model_recompute recompute)
{
    return recompute == MODEL_RECOMPUTE_NONE        ? 1.0
           : recompute == MODEL_RECOMPUTE_ATTENTION ? 1.09
                                                    : 1.21;
}

/* Elements of a node's groups that are not all its own and come and go (stages 2 and 3). */
static double passing_elements(const struct forecast_inputs *inputs,
                               const struct forecast_shape *shape)
{
    enum { GROUPS_A_SECTION = 3 };
    const int64_t teams = quotient_up(local_of(shape), tensor_of(shape));
    const int64_t sections = teams < pipeline_of(shape) ? teams : pipeline_of(shape);
    const int64_t groups = pipeline_of(shape) == 1 ? 1 : GROUPS_A_SECTION * sections;
    return (double)(inputs->table_elements + groups * inputs->layer_elements);
}

/* Between nodes a worker receives the other nodes' parts of the sums that it owns while they are
 * under way: of all groups under stage 1, as they are begun sooner than they are through, of the
 * largest, about, from stage 2 on. Under stage 0 the library has a copy of what it adds: between
 * two nodes, where it exchanges whole sums, of all groups; else of the largest, about (measured
 * with 2 to 4 nodes). */
static double received_bytes(const struct forecast_inputs *inputs,
                             const struct forecast_shape *shape)
{
    const double local = (double)local_of(shape);
    const double largest = 8.0 * (double)inputs->table_elements / local;
    if (shape->nodes == 1) {
        return 0.0;
    }
    if (shape->stage == 0) {
        return shape->nodes == 2 ? 8.0 * (double)inputs->elements / local : largest;
    }
    const double others = (double)(shape->nodes - 1) / (double)shape->nodes;
    return others * (shape->stage == 1 ? 8.0 * (double)inputs->elements / local : largest);
}

static void memory_figure(const struct forecast_inputs *inputs, const struct forecast_shape *shape,
                          struct forecast_figures *figures)
{
    const double elements = (double)inputs->elements;
    const double nodes = (double)shape->nodes;
    const double owned = shape->stage == 0 ? elements : elements / nodes;
    const double local = (double)local_of(shape);
    const double divided =
        fmin(elements / nodes + passing_elements(inputs, shape) * (1.0 - 1.0 / nodes), elements);
    figures->weights = 4.0 * (shape->stage >= 3 ? divided : elements);
    figures->sums = 8.0 * (shape->stage >= 2 ? divided : elements);
    figures->moments = 8.0 * owned;
    figures->records = local * (double)sizeof(struct node_owner) +
                       (double)inputs->blocks *
                           (double)(sizeof(double) + FINGERPRINT_ARRAYS * sizeof(struct digest));
    figures->snapshot = 12.0 * elements / nodes;
    figures->shared =
        figures->weights + figures->sums + figures->moments + figures->records + figures->snapshot;
    figures->received = received_bytes(inputs, shape);
    figures->worker = (double)forecast_work_of(inputs, shape).mean + inputs->process_bytes +
                      FORECAST_WRITER_BYTES + figures->received;
    figures->coordinator = inputs->process_bytes;
    figures->node =
        figures->shared + local * figures->worker + figures->coordinator + FORECAST_PUBLISHER_BYTES;
    figures->all_workers = nodes * figures->shared + (double)shape->workers * figures->worker +
                           FORECAST_PUBLISHER_BYTES;
    figures->checkpoint = 12.0 * elements;
    figures->fits = figures->node <= inputs->node_bytes;
}

/* Workers whose partner is on another node: in all, and on the node with most of them. */
struct crossings {
    int64_t all;
    int64_t most;
};

/* In a round of doubling. */
static struct crossings tensor_crossings(const struct forecast_shape *shape, int64_t round)
{
    struct crossings crossings = {0};
    int64_t node = 0;
    int64_t here = 0;
    for (int64_t worker = 0; worker < shape->workers && shape->nodes > 1; worker++) {
        const int64_t member = worker % tensor_of(shape);
        const int64_t partner = worker - member + (member ^ round);
        here = node_of(shape, worker) == node ? here : 0;
        node = node_of(shape, worker);
        if (node_of(shape, partner) != node) {
            crossings.all++;
            here++;
        }
        crossings.most = here > crossings.most ? here : crossings.most;
    }
    return crossings;
}

/* Members of sections whose next section is on another node. */
static int64_t section_crossings(const struct forecast_shape *shape)
{
    int64_t crossings = 0;
    for (int64_t worker = 0; worker < shape->workers && shape->nodes > 1; worker++) {
        const int64_t section = worker / tensor_of(shape) % pipeline_of(shape);
        if (section + 1 < pipeline_of(shape) &&
            node_of(shape, worker) != node_of(shape, worker + tensor_of(shape))) {
            crossings++;
        }
    }
    return crossings;
}

double forecast_exchange(const struct forecast_inputs *inputs, const struct forecast_shape *shape)
{
    const double bytes = (double)inputs->exchange_bytes[shape->recompute];
    double seconds = 0.0;
    for (int64_t round = 1; round < tensor_of(shape); round *= 2) {
        const int64_t most = tensor_crossings(shape, round).most;
        seconds +=
            bytes * (most == 0 ? inputs->exchange_seconds : (double)most / inputs->network_bytes);
    }
    return seconds;
}

/* What teams that are longer than a node send over the network in a step. */
static double team_traffic(const struct forecast_inputs *inputs, const struct forecast_shape *shape)
{
    double sent = 2.0 * (double)(section_crossings(shape) * inputs->state_bytes);
    for (int64_t round = 1; round < tensor_of(shape); round *= 2) {
        sent += (double)(tensor_crossings(shape, round).all *
                         inputs->exchange_bytes[shape->recompute]) /
                (double)pipeline_of(shape);
    }
    const double slots_a_team = (double)(inputs->slots * team_of(shape)) / (double)shape->workers;
    return sent * slots_a_team / (double)shape->nodes;
}

static void network_figure(const struct forecast_inputs *inputs, const struct forecast_shape *shape,
                           double slot, struct forecast_figures *figures)
{
    /* A ring or a halving tree sends (n-1)/n of the data once for the scatter of sums, and
     * once more for what comes back: sums again under stage 0, weights under stage 1. */
    const double elements = (double)inputs->elements;
    const double tables = (double)inputs->table_elements;
    const double nodes = (double)shape->nodes;
    const double share = (nodes - 1.0) / nodes;
    const double rounds = shape->stage >= 2
                              ? (double)quotient_up(inputs->slots, shape->workers / team_of(shape))
                              : 1.0;
    const double gathers = shape->stage >= 3 ? 4.0 * (2.0 * elements + tables) * share : 0.0;
    const double sums = 8.0 * elements * share + gathers;
    const double back = shape->stage >= 3   ? 0.0
                        : shape->stage == 0 ? 8.0 * elements * share
                                            : 4.0 * elements * share;
    const double hidden = slot / 2.0; /* the last slot's backward, about */
    figures->traffic = rounds * sums + back + team_traffic(inputs, shape);
    figures->network =
        rounds * fmax(0.0, sums / inputs->network_bytes - hidden) + back / inputs->network_bytes;
}

static void time_figure(const struct forecast_inputs *inputs, const struct forecast_shape *shape,
                        struct forecast_figures *figures)
{
    const double elements = (double)inputs->elements;
    const int64_t sections = pipeline_of(shape);
    const double exchange = forecast_exchange(inputs, shape);
    const double slot = inputs->slot_flops * forecast_again(shape->recompute) /
                            (inputs->worker_flops * (double)tensor_of(shape)) +
                        exchange;
    const int64_t teams = shape->workers / team_of(shape);
    const double passed = (double)(quotient_up(inputs->slots, teams) + sections - 1);
    figures->compute = passed * slot / (double)sections;
    figures->exchange = passed * exchange / (double)sections;
    figures->bubble = (double)(sections - 1) / passed;
    figures->update = (shape->stage == 0 ? elements * (double)shape->nodes : elements) /
                      (double)shape->workers * inputs->element_seconds;
    if (shape->nodes > 1) {
        network_figure(inputs, shape, slot, figures);
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

static bool shape_fits(const struct forecast_inputs *inputs, const struct forecast_shape *shape)
{
    struct forecast_figures figures = {0};
    memory_figure(inputs, shape, &figures);
    return figures.fits && shape->workers % team_of(shape) == 0 &&
           forecast_work_of(inputs, shape).mean > 0;
}

/* With the wanted stage or one that divides more, lowest first. */
static bool stages_try(const struct forecast_inputs *inputs, int64_t wanted_stage,
                       struct forecast_shape *shape)
{
    const int64_t lowest = wanted_stage > 1 ? wanted_stage : 1;
    const int64_t highest = shape->nodes > 1 ? FORECAST_STAGE_MAX : lowest;
    for (shape->stage = lowest; shape->stage <= highest; shape->stage++) {
        if (shape_fits(inputs, shape)) {
            return true;
        }
    }
    return false;
}

/* With as many workers and nodes as `shape` has. */
static bool cuts_try(const struct forecast_inputs *inputs, const struct forecast_shape *wanted,
                     struct forecast_shape *shape)
{
    for (int64_t p = cut_index(inputs->pipelines, pipeline_of(wanted));
         p < FORECAST_CUTS_MAX && inputs->pipelines[p] > 0; p++) {
        for (int64_t t = cut_index(inputs->tensors, tensor_of(wanted));
             t < FORECAST_CUTS_MAX && inputs->tensors[t] > 0; t++) {
            for (int again = (int)wanted->recompute; again < MODEL_RECOMPUTES; again++) {
                shape->pipeline = inputs->pipelines[p];
                shape->tensor = inputs->tensors[t];
                shape->recompute = (enum model_recompute)again;
                if (stages_try(inputs, wanted->stage, shape)) {
                    return true;
                }
            }
        }
    }
    return false;
}

bool forecast_nearest(const struct forecast_inputs *inputs, const struct forecast_shape *wanted,
                      int64_t nodes_max, struct forecast_shape *nearest)
{
    const int64_t local = local_of(wanted);
    *nearest = *wanted;
    if (cuts_try(inputs, wanted, nearest)) {
        return true;
    }
    for (int64_t nodes = wanted->nodes; nodes <= nodes_max; nodes++) {
        nearest->nodes = nodes;
        for (int64_t each = nodes == wanted->nodes ? local - 1 : local; each >= 1; each--) {
            nearest->workers = each * nodes;
            if (cuts_try(inputs, wanted, nearest)) {
                return true;
            }
        }
    }
    return false;
}
