/* See partition.h. */
#include "shard/partition.h"

#include "base/memory.h"

/* Part `index` of `parts` of a range of whole blocks, in blocks; sizes differ by at most one. */
static struct partition_range range_part(struct partition_range whole, int64_t index, int64_t parts)
{
    const int64_t blocks = whole.count / PARAMETER_BLOCK;
    const int64_t first = blocks * index / parts;
    const int64_t next = blocks * (index + 1) / parts;
    return (struct partition_range){whole.first + first * PARAMETER_BLOCK,
                                    (next - first) * PARAMETER_BLOCK};
}

struct partition_range partition_slice(const struct partition *partition, int64_t group,
                                       int64_t driver)
{
    const struct parameter_group *const row = &partition->table->groups[group];
    return range_part((struct partition_range){row->offset, row->count}, driver,
                      partition->driver_count);
}

void partition_pieces(const struct partition *partition, int64_t group, int64_t driver,
                      int64_t *firsts)
{
    const struct partition_range slice = partition_slice(partition, group, driver);
    for (int64_t node = 0; node < partition->node_count; node++) {
        firsts[node] = range_part(slice, node, partition->node_count).first;
    }
    firsts[partition->node_count] = slice.first + slice.count;
}

struct partition_range partition_owned(const struct partition *partition, int64_t group,
                                       int64_t driver)
{
    const struct partition_range slice = partition_slice(partition, group, driver);
    return partition->stage == 0 ? slice
                                 : range_part(slice, partition->node, partition->node_count);
}

bool partition_divides_sums(const struct partition *partition)
{
    return partition->stage >= 2 && partition->node_count > 1;
}

bool partition_divides_weights(const struct partition *partition)
{
    return partition->stage >= 3 && partition->node_count > 1;
}

void partition_init(struct partition *partition, const struct parameter_table *table,
                    const struct topology *topology, int64_t stage)
{
    const size_t groups = (size_t)table->group_count;
    *partition =
        (struct partition){.table = table,
                           .stage = stage,
                           .driver_count = topology->driver_count,
                           .node_count = topology->node_count,
                           .driver = topology_is_driver(topology) ? topology->local_index : -1,
                           .node = topology->node_index};
    partition->slices = memory_take(groups, sizeof *partition->slices, "partition");
    partition->owned = memory_take(groups, sizeof *partition->owned, "partition");
    for (int64_t g = 0; g < table->group_count; g++) {
        const struct partition_range nothing = {table->groups[g].offset, 0};
        const bool drives = partition->driver >= 0;
        partition->slices[g] = drives ? partition_slice(partition, g, partition->driver) : nothing;
        partition->owned[g] = drives ? partition_owned(partition, g, partition->driver) : nothing;
    }
}

void partition_deinit(struct partition *partition)
{
    memory_release(partition->slices);
    memory_release(partition->owned);
    *partition = (struct partition){0};
}
