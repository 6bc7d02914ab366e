/* See snapshot.h. */
#include "checkpoints/snapshot.h"

#include <string.h>

#include "base/memory.h"

static int64_t group_node(const struct snapshot *snapshot, int64_t group)
{
    return group % snapshot->topology->node_count;
}

enum status snapshot_open(struct snapshot *snapshot, const struct topology *topology,
                          const struct partition *partition, struct error *error)
{
    *snapshot = (struct snapshot){.topology = topology, .partition = partition};
    const struct parameter_table *const table = partition->table;
    snapshot->offsets =
        memory_take((size_t)table->group_count, sizeof *snapshot->offsets, "snapshot");
    int64_t elements = 0;
    for (int64_t group = 0; group < table->group_count; group++) {
        const bool here = group_node(snapshot, group) == topology->node_index;
        snapshot->offsets[group] = here ? elements : -1;
        elements += here ? CHECKPOINT_ARRAY_COUNT * table->groups[group].count : 0;
    }
    const size_t size_bytes = (size_t)elements * sizeof(float) + PARAMETER_BLOCK;
    const char *const purpose = "checkpoint snapshot";
    TRY(window_open(&snapshot->window, topology->node, size_bytes, purpose, error));
    enum status status = STATUS_OK;
    if (topology->local_index == 0) {
        status = window_reserve(&snapshot->window, 0, size_bytes, purpose, error);
    }
    return fabric_agree(topology->node, status, error);
}

void snapshot_close(struct snapshot *snapshot)
{
    window_close(&snapshot->window);
    memory_release(snapshot->offsets);
    *snapshot = (struct snapshot){0};
}

static float *group_array(const struct snapshot *snapshot, int64_t group, int64_t array)
{
    const int64_t count = snapshot->partition->table->groups[group].count;
    float *const elements = (float *)(void *)snapshot->window.data;
    return elements + snapshot->offsets[group] + array * count;
}

/* This driver's slice of one array of one group, to the node that collects the group. `own` holds
 * its elements from `own_first` on. */
static enum status slice_collect(struct snapshot *snapshot, int64_t group, int64_t array,
                                 const float *own, int64_t *firsts, struct error *error)
{
    const struct partition *const partition = snapshot->partition;
    const struct topology *const topology = snapshot->topology;
    const int64_t root = group_node(snapshot, group);
    const bool here = root == topology->node_index;
    const struct partition_range slice = partition->slices[group];
    float *const target = here ? group_array(snapshot, group, array) +
                                     (slice.first - partition->table->groups[group].offset)
                               : NULL;
    if (topology->node_count == 1 || partition->stage == 0) {
        if (here) {
            memcpy(target, own, (size_t)slice.count * sizeof *own);
        }
        return STATUS_OK;
    }
    partition_pieces(partition, group, partition->driver, firsts);
    return fabric_collect_ranges(topology->slice, root, own, target, firsts, error);
}

enum status snapshot_take(struct snapshot *snapshot, const struct node_state *node,
                          double limit_seconds, struct error *error)
{
    const struct partition *const partition = snapshot->partition;
    int64_t *const firsts =
        memory_take((size_t)partition->node_count + 1, sizeof *firsts, "snapshot pieces");
    enum status status = STATUS_OK;
    for (int64_t group = 0;
         group < partition->table->group_count && partition->driver >= 0 && status == STATUS_OK;
         group++) {
        const int64_t owned = partition->owned[group].first;
        const float *const arrays[CHECKPOINT_ARRAY_COUNT] = {
            node->weights + owned, node->first + owned, node->second + owned};
        for (int64_t i = 0; i < CHECKPOINT_ARRAY_COUNT && status == STATUS_OK; i++) {
            status = slice_collect(snapshot, group, i, arrays[i], firsts, error);
        }
    }
    memory_release(firsts);
    TRY(fabric_agree(snapshot->topology->workers, status, error));
    return window_barrier_wait(&node->header->barrier, snapshot->topology->local_count,
                               limit_seconds, "snapshot", error);
}

bool snapshot_writes(const struct snapshot *snapshot, int64_t group)
{
    const struct topology *const topology = snapshot->topology;
    return group_node(snapshot, group) == topology->node_index &&
           group / topology->node_count % topology->local_count == topology->local_index;
}

void snapshot_arrays(const struct snapshot *snapshot, int64_t group,
                     const float *arrays[CHECKPOINT_ARRAY_COUNT])
{
    for (int64_t i = 0; i < CHECKPOINT_ARRAY_COUNT; i++) {
        arrays[i] = group_array(snapshot, group, i);
    }
}
