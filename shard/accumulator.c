/* See accumulator.h. */
#include "shard/accumulator.h"

#include <math.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum { CHUNK_ELEMENTS = NODE_STATE_LOCK_BLOCKS * PARAMETER_BLOCK };

enum status accumulator_init(struct accumulator *accumulator, const struct kernels *kernels,
                             const struct topology *topology, const struct partition *partition,
                             struct node_state *node, int64_t slots, double limit_seconds,
                             struct error *error)
{
    int slot_bits = 0;
    while ((INT64_C(1) << slot_bits) < slots) {
        slot_bits++;
    }
    const int limit_bits = ACCUMULATOR_TOTAL_BITS - ACCUMULATOR_FRACTION_BITS - slot_bits;
    enum {
        LIMIT_BITS_LEAST = -8
    }; /* 2^16 slots: gradients of a slot below 1/256 of the mean's scale */
    if (limit_bits < LIMIT_BITS_LEAST) {
        FAIL(error, STATUS_INPUT, "a step of %lld slots is more than exact sums allow (%lld)",
             (long long)slots,
             1LL << (ACCUMULATOR_TOTAL_BITS - ACCUMULATOR_FRACTION_BITS - LIMIT_BITS_LEAST));
    }
    *accumulator = (struct accumulator){.kernels = kernels,
                                        .topology = topology,
                                        .partition = partition,
                                        .node = node,
                                        .limit_bits = limit_bits,
                                        .limit_seconds = limit_seconds};
    const size_t groups = (size_t)partition->table->group_count;
    accumulator->requests = memory_take(groups, sizeof *accumulator->requests, "gradient sums");
    accumulator->firsts =
        memory_take((size_t)topology->node_count + 1, sizeof *accumulator->firsts, "gradient sums");
    accumulator->chunk_done =
        memory_take((size_t)node->lock_count, sizeof *accumulator->chunk_done, "gradient sums");
    if (topology->node_count > 1 && partition->stage > 0) {
        accumulator->received = memory_take((size_t)partition->owned_count,
                                            sizeof *accumulator->received, "owned gradient sums");
    }
    return STATUS_OK;
}

void accumulator_deinit(struct accumulator *accumulator)
{
    memory_release(accumulator->requests);
    memory_release(accumulator->received);
    memory_release(accumulator->firsts);
    memory_release(accumulator->chunk_done);
    *accumulator = (struct accumulator){0};
}

double accumulator_loss_scale(int64_t targets_max)
{
    int k = 0;
    while ((INT64_C(1) << k) < targets_max) {
        k++;
    }
    return ldexp(1.0, -k);
}

void accumulator_bad_slot(struct node_header *header, int64_t slot)
{
    atomic_fetch_add(&header->totals[NODE_TOTAL_BAD_SLOTS], 1);
    int64_t seen = atomic_load(&header->first_bad_slot);
    while ((seen == 0 || slot + 1 < seen) &&
           !atomic_compare_exchange_weak(&header->first_bad_slot, &seen, slot + 1)) {
    }
}

/* Adds the part of the gradient under lock `chunk`; false if another worker holds it just now. */
static bool chunk_try(struct accumulator *accumulator, const struct parameter_group *group,
                      const float *gradient, int64_t chunk, bool *finite)
{
    struct node_state *const node = accumulator->node;
    uint32_t open = 0;
    if (!atomic_compare_exchange_strong_explicit(&node->locks[chunk], &open, 1,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    const int64_t chunk_first = chunk * CHUNK_ELEMENTS;
    const int64_t chunk_end = chunk_first + CHUNK_ELEMENTS;
    const int64_t group_end = group->offset + group->count;
    const int64_t first = chunk_first > group->offset ? chunk_first : group->offset;
    const int64_t end = chunk_end < group_end ? chunk_end : group_end;
    *finite &= accumulator->kernels->fixed_point_add(
        node->sums + first, gradient + (first - group->offset), ACCUMULATOR_FRACTION_BITS,
        accumulator->limit_bits, end - first);
    atomic_store_explicit(&node->locks[chunk], 0, memory_order_release);
    return true;
}

/* Workers begin at different chunks and pass over one that is held, so they rarely wait for each
 * other. */
enum status accumulator_add(struct accumulator *accumulator, int64_t slot, int64_t group,
                            const float *gradient, struct error *error)
{
    const struct parameter_group *const row = &accumulator->partition->table->groups[group];
    const int64_t first = row->offset / CHUNK_ELEMENTS;
    const int64_t count = (row->offset + row->count - 1) / CHUNK_ELEMENTS - first + 1;
    const int64_t start =
        count * accumulator->topology->local_index / accumulator->topology->local_count;
    bool *const done = accumulator->chunk_done;
    for (int64_t i = 0; i < count; i++) {
        done[i] = false;
    }
    bool finite = true;
    const int64_t start_ns = clock_now_ns();
    for (int64_t left = count; left > 0;) {
        const int64_t before = left;
        for (int64_t i = 0; i < count; i++) {
            const int64_t turn = (start + i) % count;
            if (!done[turn] && chunk_try(accumulator, row, gradient, first + turn, &finite)) {
                done[turn] = true;
                left--;
            }
        }
        if (left == before) {
            (void)sched_yield();
            if (clock_seconds_since(start_ns) > accumulator->limit_seconds) {
                FAIL(error, STATUS_TIMEOUT,
                     "waited %.0f s for a worker of this node that holds a part of the gradient "
                     "sums",
                     clock_seconds_since(start_ns));
            }
        }
    }
    if (!finite) {
        accumulator_bad_slot(accumulator->node->header, slot);
    }
    atomic_fetch_add(&accumulator->node->slots_added[group], 1);
    return STATUS_OK;
}

void accumulator_final(struct accumulator *accumulator, int64_t slot_count)
{
    struct node_header *const header = accumulator->node->header;
    atomic_fetch_add(&header->slots_expected, slot_count);
    atomic_fetch_add(&header->workers_final, 1);
}

static bool group_complete(const struct accumulator *accumulator, int64_t group)
{
    const struct node_header *const header = accumulator->node->header;
    return atomic_load(&header->workers_final) == accumulator->topology->local_count &&
           atomic_load(&accumulator->node->slots_added[group]) ==
               atomic_load(&header->slots_expected);
}

/* Groups are handed over, and their sums begun, from the last (head) to the first (embeddings): on
 * every rank alike. */
static int64_t group_in_order(const struct accumulator *accumulator, int64_t place)
{
    return accumulator->partition->table->group_count - 1 - place;
}

static enum status group_begin(struct accumulator *accumulator, int64_t group, struct error *error)
{
    const struct partition *const partition = accumulator->partition;
    const struct topology *const topology = accumulator->topology;
    if (topology->node_count == 1 || topology->slice == NULL) {
        return STATUS_OK;
    }
    int64_t *const sums = accumulator->node->sums;
    const struct partition_range slice = partition->slices[group];
    if (partition->stage == 0) {
        return fabric_sum_begin(topology->slice, sums + slice.first, slice.count,
                                &accumulator->requests[group], error);
    }
    partition_pieces(partition, group, partition->driver, accumulator->firsts);
    return fabric_sum_scatter_begin(topology->slice, sums + slice.first,
                                    accumulator->received + partition->owned_offset[group],
                                    accumulator->firsts, &accumulator->requests[group], error);
}

enum status accumulator_poll(struct accumulator *accumulator, struct error *error)
{
    const int64_t groups = accumulator->partition->table->group_count;
    while (accumulator->begun_count < groups &&
           group_complete(accumulator, group_in_order(accumulator, accumulator->begun_count))) {
        TRY(group_begin(accumulator, group_in_order(accumulator, accumulator->begun_count), error));
        accumulator->begun_count++;
    }
    for (int64_t i = 0; i < accumulator->begun_count; i++) {
        bool done;
        TRY(fabric_test(&accumulator->requests[group_in_order(accumulator, i)], &done, error));
    }
    return STATUS_OK;
}

/* What came from other nodes goes where a restart finds it. */
static void received_place(struct accumulator *accumulator)
{
    const struct partition *const partition = accumulator->partition;
    for (int64_t g = 0; accumulator->received != NULL && g < partition->table->group_count; g++) {
        memcpy(accumulator->node->sums + partition->owned[g].first,
               accumulator->received + partition->owned_offset[g],
               (size_t)partition->owned[g].count * sizeof *accumulator->received);
    }
}

enum status accumulator_finish(struct accumulator *accumulator, struct error *error)
{
    const int64_t groups = accumulator->partition->table->group_count;
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0; accumulator->begun_count < groups; polls++) {
        TRY(accumulator_poll(accumulator, error));
        if (accumulator->begun_count == groups) {
            break;
        }
        clock_pause(polls);
        if (clock_seconds_since(start_ns) > accumulator->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s for the slots of this node's other workers (%lld of %lld workers "
                 "know "
                 "their last slot)",
                 clock_seconds_since(start_ns),
                 (long long)atomic_load(&accumulator->node->header->workers_final),
                 (long long)accumulator->topology->local_count);
        }
    }
    for (int64_t i = 0; i < groups; i++) {
        TRY(fabric_wait(&accumulator->requests[group_in_order(accumulator, i)], "sum of gradients",
                        error));
    }
    accumulator->begun_count = 0;
    received_place(accumulator);
    return STATUS_OK;
}

void accumulator_clear(struct accumulator *accumulator)
{
    for (int64_t group = 0; group < accumulator->partition->table->group_count; group++) {
        const struct partition_range slice = accumulator->partition->slices[group];
        int64_t *const sums = accumulator->node->sums + slice.first;
        for (int64_t i = 0; i < slice.count; i++) {
            sums[i] = 0;
        }
    }
}
