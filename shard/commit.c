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

/* The new values of a chunk, into the record. */
static void record_fill(struct optimizer *optimizer, const struct node_state *node,
                        struct node_owner *owner, struct partition_range range)
{
    const struct kernels_state values = {owner->values[0], owner->values[1], owner->values[2]};
    optimizer_update(optimizer, node, range, &values);
}

/* Blocks [first, first + count) of the record to where they belong, with their digests: what is
 * hashed is in the first-level cache when it is copied. */
static void record_apply(struct node_state *node, const struct node_owner *owner,
                         struct partition_range range, int64_t first, int64_t count)
{
    float *const arrays[FINGERPRINT_ARRAYS] = {node->weights, node->first, node->second};
    for (int64_t k = first; k < first + count; k++) {
        const int64_t block = range.first / PARAMETER_BLOCK + k;
        for (int64_t i = 0; i < FINGERPRINT_ARRAYS; i++) {
            const float *const values = owner->values[i] + k * PARAMETER_BLOCK;
            fingerprint_blocks(node->digests + i * node->block_count + block, values,
                               PARAMETER_BLOCK);
            memcpy(arrays[i] + block * PARAMETER_BLOCK, values, PARAMETER_BLOCK * sizeof *values);
        }
    }
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
        const int64_t blocks = range.count / PARAMETER_BLOCK;
        record_fill(optimizer, node, owner, range);
        atomic_store(&owner->saved, chunk + 1);
        fault_reach(fault, FAULT_POINT_UPDATE_SAVED, step);
        record_apply(node, owner, range, 0, blocks / 2);
        fault_reach(fault, FAULT_POINT_UPDATE_TORN, step);
        record_apply(node, owner, range, blocks / 2, blocks - blocks / 2);
        fault_reach(fault, FAULT_POINT_UPDATE_APPLIED, step);
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
        record_apply(node, owner, range, 0, range.count / PARAMETER_BLOCK);
        atomic_store(&owner->counted, chunk + 1);
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
