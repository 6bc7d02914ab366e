/* See weight_gate.h. */
#include "shard/weight_gate.h"

#include "base/clock.h"
#include "base/memory.h"

void weight_gate_init(struct weight_gate *gate, struct accumulator *accumulator,
                      const struct topology *topology, const struct partition *partition,
                      struct node_state *node, double limit_seconds)
{
    const size_t groups = (size_t)partition->table->group_count;
    *gate = (struct weight_gate){
        .accumulator = accumulator,
        .topology = topology,
        .partition = partition,
        .node = node,
        .limit_seconds = limit_seconds,
        .announced = memory_take(groups, sizeof *gate->announced, "gathers of weights"),
        .held = memory_take(groups, sizeof *gate->held, "gathers of weights"),
        .firsts = memory_take((size_t)topology->node_count + 1, sizeof *gate->firsts,
                              "gathers of weights"),
    };
}

void weight_gate_deinit(struct weight_gate *gate)
{
    memory_release(gate->announced);
    memory_release(gate->held);
    memory_release(gate->firsts);
    *gate = (struct weight_gate){0};
}

static struct weight_gather *gather_at(struct weight_gate *gate, int64_t number)
{
    return &gate->gathers[number % WEIGHT_GATE_AHEAD_MAX];
}

static void gather_announce(struct weight_gate *gate, int64_t group)
{
    INVARIANT(gate->announced_count - gate->done_count < WEIGHT_GATE_AHEAD_MAX);
    gate->announced[group]++;
    *gather_at(gate, gate->announced_count++) =
        (struct weight_gather){.group = group, .round = gate->announced[group]};
}

/* This driver's slice. */
static enum status gather_begin(struct weight_gate *gate, struct weight_gather *gather,
                                struct error *error)
{
    const struct partition *const partition = gate->partition;
    if (partition->driver < 0) {
        return STATUS_OK;
    }
    TRY(node_state_take(gate->node, partition, NODE_ARRAY_WEIGHTS, gather->group, partition->driver,
                        error));
    partition_pieces(partition, gather->group, partition->driver, gate->firsts);
    return fabric_gather_ranges_begin(gate->topology->weights, gate->node->weights, gate->firsts,
                                      &gather->request, error);
}

/* Begins what can be begun and notes what is complete. */
static enum status gathers_poll(struct weight_gate *gate, struct error *error)
{
    while (gate->begun_count < gate->announced_count) {
        struct weight_gather *const next = gather_at(gate, gate->begun_count);
        if (atomic_load(&gate->node->groups[next->group].weights_vacated) < next->round - 1) {
            break;
        }
        TRY(gather_begin(gate, next, error));
        gate->begun_count++;
    }
    while (gate->done_count < gate->begun_count) {
        struct weight_gather *const first = gather_at(gate, gate->done_count);
        bool done;
        TRY(fabric_test(&first->request, &done, error));
        if (!done) {
            break;
        }
        if (gate->partition->driver >= 0) {
            atomic_fetch_add(&gate->node->groups[first->group].weights_gathered, 1);
        }
        gate->done_count++;
    }
    return STATUS_OK;
}

static enum status group_wait(struct weight_gate *gate, int64_t group, struct error *error)
{
    const struct node_group *const row = &gate->node->groups[group];
    const int64_t wanted = gate->held[group] * gate->topology->driver_count;
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0;; polls++) {
        TRY(gathers_poll(gate, error));
        if (atomic_load(&row->weights_gathered) >= wanted) {
            return STATUS_OK;
        }
        TRY(accumulator_poll(gate->accumulator, error));
        clock_pause(polls);
        if (clock_seconds_since(start_ns) > gate->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the weights of group \"%s\" from other nodes: %lld of %lld "
                 "slices are here",
                 clock_seconds_since(start_ns), gate->partition->table->groups[group].name,
                 (long long)(atomic_load(&row->weights_gathered) - wanted +
                             gate->topology->driver_count),
                 (long long)gate->topology->driver_count);
        }
    }
}

static enum status group_drop(struct weight_gate *gate, int64_t group, struct error *error)
{
    struct node_group *const row = &gate->node->groups[group];
    const int64_t dropped = atomic_fetch_add(&row->weights_dropped, 1) + 1;
    if (dropped < gate->held[group] * gate->topology->local_count) {
        return STATUS_OK;
    }
    for (int64_t driver = 0; driver < gate->partition->driver_count; driver++) {
        TRY(node_state_vacate(gate->node, gate->partition, NODE_ARRAY_WEIGHTS, group, driver,
                              error));
    }
    atomic_store(&row->weights_vacated, gate->held[group]);
    return STATUS_OK;
}

void weight_gate_ahead(struct weight_gate *gate, int64_t group)
{
    if (gate->status == STATUS_OK && gate->announced[group] == gate->held[group]) {
        gather_announce(gate, group);
        gate->status = gathers_poll(gate, &gate->error);
    }
}

void weight_gate_hold(struct weight_gate *gate, int64_t group)
{
    weight_gate_ahead(gate, group);
    if (gate->status == STATUS_OK) {
        gate->held[group]++;
        gate->status = group_wait(gate, group, &gate->error);
    }
}

void weight_gate_drop(struct weight_gate *gate, int64_t group)
{
    if (gate->status == STATUS_OK) {
        gate->status = group_drop(gate, group, &gate->error);
    }
}

enum status weight_gate_check(const struct weight_gate *gate, struct error *error)
{
    if (gate->status != STATUS_OK) {
        *error = gate->error;
    }
    return gate->status;
}

void weight_gate_reset(struct weight_gate *gate)
{
    for (int64_t group = 0; gate->held != NULL && group < gate->partition->table->group_count;
         group++) {
        gate->announced[group] = 0;
        gate->held[group] = 0;
    }
}
