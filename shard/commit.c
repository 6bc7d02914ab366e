/* See commit.h. Atomic stores keep their order in memory that other processes see, and a killed
 * process's stores stay: each record is written before the counter that makes it count. */
#include "shard/commit.h"

#include <string.h>

void commit_begin(struct node_state *node, const struct partition *partition,
                  struct digest identity, const struct node_record *record)
{
    struct node_ledger *const ledger = node->ledger;
    memset(&ledger->identity, 0, sizeof ledger->identity); /* meanwhile nobody may trust it */
    atomic_thread_fence(memory_order_seq_cst);
    ledger->stage = partition->stage;
    ledger->node_count = partition->node_count;
    ledger->node_index = partition->node;
    ledger->driver_count = partition->driver_count;
    ledger->records[record->step & 1] = *record;
    atomic_store(&ledger->ready_step, record->step);
    atomic_store(&ledger->done_step, record->step);
    ledger->identity = identity;
}

void commit_ready(struct node_state *node, int64_t step)
{
    atomic_store(&node->ledger->ready_step, step);
}

void commit_done(struct node_state *node, const struct node_record *record)
{
    node->ledger->records[record->step & 1] = *record;
    atomic_store(&node->ledger->done_step, record->step);
}

const struct node_record *commit_record(const struct node_state *node)
{
    return &node->ledger->records[atomic_load(&node->ledger->done_step) & 1];
}

/* Chunk `index` of what the partition's driver owns; false behind the last. No chunk spans two
 * groups. */
static bool chunk_range(const struct partition *partition, int64_t index,
                        struct partition_range *range)
{
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        const struct partition_range owned = partition->owned[group];
        const int64_t chunks = (owned.count + NODE_STATE_CHUNK - 1) / NODE_STATE_CHUNK;
        if (index < chunks) {
            const int64_t left = owned.count - index * NODE_STATE_CHUNK;
            *range = (struct partition_range){owned.first + index * NODE_STATE_CHUNK,
                                              left < NODE_STATE_CHUNK ? left : NODE_STATE_CHUNK};
            return true;
        }
        index -= chunks;
    }
    return false;
}

/* Copies a chunk's values and digests into its owner's record, or back. */
static void chunk_copy(struct node_state *node, struct node_owner *owner,
                       struct partition_range range, bool back)
{
    float *const arrays[FINGERPRINT_ARRAYS] = {node->weights, node->first, node->second};
    const size_t value_bytes = (size_t)range.count * sizeof(float);
    const size_t digest_bytes_count =
        (size_t)(range.count / PARAMETER_BLOCK) * sizeof(struct digest);
    for (int64_t i = 0; i < FINGERPRINT_ARRAYS; i++) {
        float *const values = arrays[i] + range.first;
        struct digest *const digests =
            node->digests + i * node->block_count + range.first / PARAMETER_BLOCK;
        memcpy(back ? values : owner->values[i], back ? owner->values[i] : values, value_bytes);
        memcpy(back ? digests : owner->digests[i], back ? owner->digests[i] : digests,
               digest_bytes_count);
    }
}

static void chunk_update(struct optimizer *optimizer, struct node_state *node,
                         struct partition_range range, int64_t step, const struct fault *fault)
{
    const int64_t half = range.count / PARAMETER_BLOCK / 2 * PARAMETER_BLOCK;
    optimizer_update(optimizer, node, (struct partition_range){range.first, half});
    fault_reach(fault, FAULT_POINT_UPDATE_TORN, step);
    optimizer_update(optimizer, node,
                     (struct partition_range){range.first + half, range.count - half});
    node_state_digests(node, range);
    fault_reach(fault, FAULT_POINT_UPDATE_APPLIED, step);
}

void commit_update(struct optimizer *optimizer, struct node_state *node, int64_t step,
                   const struct fault *fault)
{
    const struct partition *const partition = optimizer->partition;
    if (partition->driver < 0) {
        return;
    }
    struct node_owner *const owner = &node->owners[partition->driver];
    if (atomic_load(&owner->step) != step) {
        atomic_store(&owner->counted, 0);
        atomic_store(&owner->saved, 0);
        atomic_store(&owner->step, step);
    }
    struct partition_range range;
    for (int64_t chunk = atomic_load(&owner->counted); chunk_range(partition, chunk, &range);
         chunk++) {
        chunk_copy(node, owner, range, false);
        atomic_store(&owner->saved, chunk + 1);
        fault_reach(fault, FAULT_POINT_UPDATE_SAVED, step);
        chunk_update(optimizer, node, range, step, fault);
        atomic_store(&owner->counted, chunk + 1);
        fault_reach(fault, FAULT_POINT_UPDATE_COUNTED, step);
    }
}

void commit_mend(struct node_state *node, const struct partition *partition, int64_t step)
{
    struct node_owner *const owner = &node->owners[partition->driver];
    const int64_t chunk = atomic_load(&owner->counted);
    struct partition_range range;
    if (atomic_load(&owner->step) == step && atomic_load(&owner->saved) == chunk + 1 &&
        chunk_range(partition, chunk, &range)) {
        chunk_copy(node, owner, range, true);
    }
}

enum status commit_check(const struct node_state *node, const struct partition *partition,
                         struct error *error)
{
    const float *const arrays[FINGERPRINT_ARRAYS] = {node->weights, node->first, node->second};
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        const struct partition_range owned = partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            for (int64_t k = 0; k < FINGERPRINT_ARRAYS; k++) {
                struct digest digest;
                fingerprint_blocks(&digest, arrays[k] + i, PARAMETER_BLOCK);
                const int64_t block = i / PARAMETER_BLOCK;
                if (!digest_equal(digest, node->digests[k * node->block_count + block])) {
                    FAIL(error, STATUS_FORMAT,
                         "block %lld of the state in memory does not have its digest",
                         (long long)block);
                }
            }
        }
    }
    return STATUS_OK;
}
