/* See topology.h. */
#include "shard/topology.h"

#include "base/memory.h"

/* Numbers the nodes by their lowest worker. Collective over workers. */
static enum status node_number(struct topology *topology, struct error *error)
{
    int64_t lowest = topology->worker_index;
    TRY(fabric_broadcast(topology->node, 0, &lowest, sizeof lowest, error));
    int64_t *const all = memory_take((size_t)topology->worker_count, sizeof *all, "topology");
    const enum status status =
        fabric_gather_all(topology->workers, &lowest, all, sizeof lowest, error);
    if (status == STATUS_OK) {
        for (int64_t i = 0; i < topology->worker_count; i++) {
            const bool first_of_node = all[i] == i;
            topology->node_count += first_of_node ? 1 : 0;
            topology->node_index += first_of_node && i < lowest ? 1 : 0;
        }
    }
    memory_release(all);
    return status;
}

enum status topology_init(struct topology *topology, struct fabric_group *workers,
                          int64_t simulate_nodes, struct error *error)
{
    *topology = (struct topology){.workers = workers,
                                  .worker_index = fabric_rank(workers),
                                  .worker_count = fabric_count(workers),
                                  .team_index = fabric_rank(workers),
                                  .team_count = fabric_count(workers),
                                  .section_count = 1,
                                  .tensor_count = 1};
    if (simulate_nodes > topology->worker_count) {
        FAIL(error, STATUS_INPUT,
             "could not simulate %lld nodes with %lld workers: a node needs one",
             (long long)simulate_nodes, (long long)topology->worker_count);
    }
    if (simulate_nodes > 0) {
        const int64_t colour = topology->worker_index * simulate_nodes / topology->worker_count;
        TRY(fabric_split(workers, colour, topology->worker_index, "node", &topology->node, error));
    } else {
        TRY(fabric_split_hosts(workers, "node", &topology->node, error));
    }
    topology->local_index = fabric_rank(topology->node);
    topology->local_count = fabric_count(topology->node);
    TRY(node_number(topology, error));
    topology->driver_count = topology->local_count;
    TRY(fabric_least(workers, &topology->driver_count, 1, error));
    const bool driver = topology_is_driver(topology);
    const int64_t slice = driver ? topology->local_index : -1;
    TRY(fabric_split(workers, slice, topology->node_index, "slice", &topology->slice, error));
    TRY(fabric_split(workers, 0, topology->worker_index, "questions", &topology->questions, error));
    return fabric_split(workers, 0, topology->worker_index, "weights", &topology->weights, error);
}

enum status topology_team_check(int64_t worker_count, int64_t section_count, int64_t tensor_count,
                                struct error *error)
{
    if (worker_count % (section_count * tensor_count) == 0) {
        return STATUS_OK;
    }
    if (tensor_count == 1) {
        FAIL(error, STATUS_INPUT,
             "shard.pipeline is %lld: each slot passes through that many workers, so their number "
             "must be a multiple of it, not %lld",
             (long long)section_count, (long long)worker_count);
    }
    if (section_count == 1) {
        FAIL(error, STATUS_INPUT,
             "shard.tensor is %lld: each slot is computed by that many workers together, so their "
             "number must be a multiple of it, not %lld",
             (long long)tensor_count, (long long)worker_count);
    }
    FAIL(error, STATUS_INPUT,
         "shard.pipeline is %lld and shard.tensor %lld: the number of workers must be a multiple "
         "of %lld, not %lld",
         (long long)section_count, (long long)tensor_count,
         (long long)(section_count * tensor_count), (long long)worker_count);
}

enum status topology_team(struct topology *topology, int64_t section_count, int64_t tensor_count,
                          struct error *error)
{
    TRY(topology_team_check(topology->worker_count, section_count, tensor_count, error));
    const int64_t size = section_count * tensor_count;
    const int64_t place = topology->worker_index % size;
    topology->team_index = topology->worker_index / size;
    topology->team_count = topology->worker_count / size;
    topology->section_index = place / tensor_count;
    topology->section_count = section_count;
    topology->tensor_member = place % tensor_count;
    topology->tensor_count = tensor_count;
    if (section_count > 1) {
        TRY(fabric_split(topology->workers,
                         topology->team_index * tensor_count + topology->tensor_member,
                         topology->section_index, "pipeline", &topology->pipeline, error));
    }
    return tensor_count == 1
               ? STATUS_OK
               : fabric_split(topology->workers, topology->worker_index / tensor_count,
                              topology->tensor_member, "tensor parts", &topology->tensor, error);
}

int64_t topology_team_size(const struct topology *topology)
{
    return topology->section_count * topology->tensor_count;
}

bool topology_leads_team(const struct topology *topology)
{
    return topology->section_index == 0 && topology->tensor_member == 0;
}

bool topology_is_driver(const struct topology *topology)
{
    return topology->local_index < topology->driver_count;
}
