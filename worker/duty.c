/* See duty.h. */
#include "worker/duty.h"

#include "base/memory.h"

static void gate_ahead(void *context, int64_t group)
{
    weight_gate_ahead(context, group);
}

static void gate_hold(void *context, int64_t group)
{
    weight_gate_hold(context, group);
}

static void gate_drop(void *context, int64_t group)
{
    weight_gate_drop(context, group);
}

static enum status sums_open(struct worker *worker, int64_t slots, struct error *error)
{
    const struct parameter_table *const table = worker->partition.table;
    const struct section *const section = model_section(worker->model);
    bool *const adds = memory_take((size_t)table->group_count, sizeof *adds, "gradient sums");
    for (int64_t group = 0; group < table->group_count; group++) {
        adds[group] = section_has_group(section, table, group);
    }
    const enum status status = accumulator_init(
        &worker->accumulator, &worker->kernels, &worker->topology, &worker->partition,
        &worker->node, adds, slots, worker->setup->lease->wait_seconds, error);
    memory_release(adds);
    if (worker->topology.tensor_count > 1) { /* else a gradient is the group as it stands */
        worker->accumulator.blocks = model_gradient_blocks(worker->model);
    }
    return status;
}

/* Where nodes divide the weights, the model asks for them. */
static enum status gate_open(struct worker *worker, struct error *error)
{
    if (!partition_divides_weights(&worker->partition)) {
        return STATUS_OK;
    }
    worker->parameter_gate =
        (struct parameter_gate){gate_ahead, gate_hold, gate_drop, &worker->gate};
    model_gate(worker->model, &worker->parameter_gate);
    return weight_gate_init(&worker->gate, &worker->topology, &worker->partition, &worker->node,
                            worker->setup->lease->wait_seconds, error);
}

static enum status duty_do(void *context, struct error *error)
{
    struct worker *const worker = context;
    TRY(accumulator_poll(&worker->accumulator, error));
    return weight_gate_poll(&worker->gate, error);
}

enum status duty_open(struct worker *worker, int64_t slots, struct error *error)
{
    TRY(sums_open(worker, slots, error));
    TRY(gate_open(worker, error));
    fabric_duty_set(worker->fabric, (struct fabric_duty){duty_do, worker});
    return STATUS_OK;
}

void duty_close(struct worker *worker)
{
    fabric_duty_set(worker->fabric, (struct fabric_duty){0});
    weight_gate_deinit(&worker->gate);
    accumulator_deinit(&worker->accumulator);
}
