/* See accumulator.h. */
#include "shard/accumulator.h"

#include <math.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shard/piece_sums.h"

enum { CHUNK_ELEMENTS = NODE_STATE_LOCK_BLOCKS * PARAMETER_BLOCK };

enum status accumulator_init(struct accumulator *accumulator, const struct kernels *kernels,
                             const struct topology *topology, const struct partition *partition,
                             struct node_state *node, const bool *adds, int64_t slots,
                             double limit_seconds, struct error *error)
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
    accumulator->added = memory_take(groups, sizeof *accumulator->added, "gradient sums");
    if (partition_divides_sums(partition)) {
        TRY(rounds_init(&accumulator->rounds, topology, partition->table, adds, slots, error));
    } else {
        rounds_init_single(&accumulator->rounds, partition->table->group_count);
    }
    accumulator_reset(accumulator);
    return STATUS_OK;
}

void accumulator_deinit(struct accumulator *accumulator)
{
    memory_release(accumulator->requests);
    memory_release(accumulator->firsts);
    memory_release(accumulator->chunk_done);
    memory_release(accumulator->added);
    rounds_deinit(&accumulator->rounds);
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

/* What `range` has under lock `chunk`. */
static struct partition_range chunk_part(struct partition_range range, int64_t chunk)
{
    const int64_t chunk_first = chunk * CHUNK_ELEMENTS;
    const int64_t chunk_end = chunk_first + CHUNK_ELEMENTS;
    const int64_t range_end = range.first + range.count;
    const int64_t first = chunk_first > range.first ? chunk_first : range.first;
    return (struct partition_range){first, (chunk_end < range_end ? chunk_end : range_end) - first};
}

/* Whether no slot will be added to what `added` slots were. */
static bool all_added(const struct accumulator *accumulator, int64_t added)
{
    const struct node_header *const header = accumulator->node->header;
    return atomic_load(&header->workers_final) == accumulator->topology->local_count &&
           added == atomic_load(&header->slots_expected);
}

/* Adds the part of the gradient under lock `chunk`; false if another worker holds it just now. */
static bool chunk_try(struct accumulator *accumulator, int64_t group, const float *gradient,
                      int64_t chunk, bool *finite)
{
    struct node_state *const node = accumulator->node;
    uint32_t open = 0;
    if (!atomic_compare_exchange_strong_explicit(&node->locks[chunk], &open, 1,
                                                 memory_order_acquire, memory_order_relaxed)) {
        return false;
    }
    const struct parameter_group *const row = &accumulator->partition->table->groups[group];
    const struct partition_range part =
        chunk_part((struct partition_range){row->offset, row->count}, chunk);
    const struct piece_sums sums = {.kernels = accumulator->kernels,
                                    .node = node,
                                    .piece = node_state_piece(node, group, part.first),
                                    .part = part,
                                    .limit_bits = accumulator->limit_bits,
                                    .zeroed = partition_divides_sums(accumulator->partition)};
    const bool last = accumulator->topology->node_count == 1 &&
                      all_added(accumulator, sums.piece->slots_added + 1);
    *finite &=
        piece_sums_add(&sums, row, accumulator->blocks == NULL ? NULL : &accumulator->blocks[group],
                       gradient, last);
    atomic_store_explicit(&node->locks[chunk], 0, memory_order_release);
    return true;
}

/* Workers begin at different chunks and pass over one that is held, so they rarely wait for each
 * other. */
static enum status chunks_add(struct accumulator *accumulator, int64_t slot, int64_t group,
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
            if (!done[turn] && chunk_try(accumulator, group, gradient, first + turn, &finite)) {
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
    return STATUS_OK;
}

static bool group_drained(const struct accumulator *accumulator, int64_t group, int64_t rounds)
{
    return atomic_load(&accumulator->node->groups[group].sums_drained) >=
           rounds * accumulator->topology->driver_count;
}

/* The group whose sums of the same round are to be gone before `group` is added to; -1: none. Who
 * is ahead hands over out of turn. */
static int64_t group_before(const struct accumulator *accumulator, int64_t group)
{
    const int64_t before = group + ACCUMULATOR_RING;
    return before < accumulator->partition->table->group_count &&
                   accumulator->rounds.ahead[group] == 0
               ? before
               : -1;
}

/* Where nodes divide the sums: waits until there is room for `group` in the round in hand, and
 * takes its pages. */
static enum status room_wait(struct accumulator *accumulator, int64_t group, struct error *error)
{
    struct node_group *const row = &accumulator->node->groups[group];
    const int64_t round =
        rounds_of_gradient(&accumulator->rounds, group, accumulator->added[group]);
    const int64_t before = group_before(accumulator, group);
    const int64_t start_ns = clock_now_ns();
    for (int64_t polls = 0; !group_drained(accumulator, group, round) ||
                            (before >= 0 && !group_drained(accumulator, before, round + 1));
         polls++) {
        TRY(fabric_poll(accumulator->topology->workers, error));
        TRY(accumulator_poll(accumulator, error));
        clock_pause(polls);
        if (clock_seconds_since(start_ns) > accumulator->limit_seconds) {
            FAIL(error, STATUS_TIMEOUT,
                 "waited %.0f s in round %lld for the sums of group \"%s\" of other workers",
                 clock_seconds_since(start_ns), (long long)round + 1,
                 accumulator->partition->table->groups[before >= 0 ? before : group].name);
        }
    }
    accumulator->waited_seconds += clock_seconds_since(start_ns);
    if (atomic_load(&row->sums_reserved) <= round) {
        for (int64_t i = 0; i < accumulator->topology->driver_count; i++) {
            TRY(node_state_take(accumulator->node, accumulator->partition, NODE_ARRAY_SUMS, group,
                                i, error));
        }
        atomic_store(&row->sums_reserved, round + 1);
    }
    return STATUS_OK;
}

enum status accumulator_add(struct accumulator *accumulator, int64_t slot, int64_t group,
                            const float *gradient, struct error *error)
{
    if (partition_divides_sums(accumulator->partition)) {
        if (gradient == NULL) {
            return STATUS_OK; /* nobody waits for it */
        }
        TRY(room_wait(accumulator, group, error));
    }
    if (gradient != NULL) {
        TRY(chunks_add(accumulator, slot, group, gradient, error));
    }
    accumulator->added[group]++;
    atomic_fetch_add(&accumulator->node->groups[group].slots_added, 1);
    return STATUS_OK;
}

void accumulator_final(struct accumulator *accumulator, int64_t slot_count)
{
    struct node_header *const header = accumulator->node->header;
    accumulator->final = true;
    atomic_fetch_add(&header->slots_expected, slot_count);
    atomic_fetch_add(&header->workers_final, 1);
}

/* Where nodes divide the sums: whether this node's gradients of `place` are in, and there is room
 * for its sums to come and go. */
static bool place_complete(const struct accumulator *accumulator, const struct rounds_place *place)
{
    const int64_t added = atomic_load(&accumulator->node->groups[place->group].slots_added);
    return !accumulator->requests[place->group].active &&
           place->number - accumulator->done.number <= ACCUMULATOR_RING &&
           added >= rounds_wanted(&accumulator->rounds, place->group,
                                  rounds_at(&accumulator->rounds, place));
}

/* Whether all that this node adds to the group is in. */
static bool group_complete(const struct accumulator *accumulator, int64_t group)
{
    return all_added(accumulator, atomic_load(&accumulator->node->groups[group].slots_added));
}

static bool next_complete(const struct accumulator *accumulator)
{
    const struct rounds_place *const next = &accumulator->begun;
    return !rounds_over(&accumulator->rounds, next) &&
           (partition_divides_sums(accumulator->partition)
                ? place_complete(accumulator, next)
                : group_complete(accumulator, next->group));
}

/* Nobody here has taken pages for what other nodes add. */
static enum status slice_take(struct accumulator *accumulator, const struct rounds_place *place,
                              struct error *error)
{
    const struct partition *const partition = accumulator->partition;
    return atomic_load(&accumulator->node->groups[place->group].sums_reserved) >
                   rounds_at(&accumulator->rounds, place)
               ? STATUS_OK
               : node_state_take(accumulator->node, partition, NODE_ARRAY_SUMS, place->group,
                                 partition->driver, error);
}

/* What no slot has written of this driver's slice: zero. */
static void slice_fill(const struct accumulator *accumulator, int64_t group)
{
    const struct partition_range slice = accumulator->partition->slices[group];
    const struct node_state *const node = accumulator->node;
    for (int64_t first = slice.first; first < slice.first + slice.count;) {
        const struct partition_range part = chunk_part(slice, first / CHUNK_ELEMENTS);
        if (!node_state_piece(node, group, first)->written) {
            memset(node->sums + part.first, 0, (size_t)part.count * sizeof *node->sums);
        }
        first = part.first + part.count;
    }
}

static enum status sum_begin(struct accumulator *accumulator, const struct rounds_place *place,
                             struct error *error)
{
    const struct partition *const partition = accumulator->partition;
    const struct topology *const topology = accumulator->topology;
    const int64_t group = place->group;
    if (!partition_divides_sums(partition)) {
        slice_fill(accumulator, group);
    }
    if (topology->node_count == 1 || topology->slice == NULL) {
        return STATUS_OK;
    }
    int64_t *const sums = accumulator->node->sums;
    const struct partition_range slice = partition->slices[group];
    if (partition->stage == 0) {
        return fabric_sum_begin(topology->slice, sums + slice.first, slice.count,
                                &accumulator->requests[group], error);
    }
    if (partition_divides_sums(partition)) {
        TRY(slice_take(accumulator, place, error));
    }
    partition_pieces(partition, group, partition->driver, accumulator->firsts);
    return fabric_sum_scatter_begin(topology->slice, sums + slice.first, accumulator->firsts,
                                    &accumulator->requests[group], error);
}

/* The sum between nodes of this driver's slice has ended, where the update, and a restart, finds
 * it. What other nodes own is of no use here. */
static enum status group_end(struct accumulator *accumulator, int64_t group, struct error *error)
{
    const struct partition *const partition = accumulator->partition;
    if (accumulator->topology->slice != NULL && partition_divides_sums(partition)) {
        TRY(node_state_vacate(accumulator->node, partition, NODE_ARRAY_SUMS, group,
                              partition->driver, error));
        atomic_fetch_add(&accumulator->node->groups[group].sums_drained, 1);
    }
    return STATUS_OK;
}

enum status accumulator_poll(struct accumulator *accumulator, struct error *error)
{
    bool moved = accumulator->final; /* else counters may still be those of the step before */
    while (moved) {
        moved = false;
        if (next_complete(accumulator)) {
            TRY(sum_begin(accumulator, &accumulator->begun, error));
            rounds_next(&accumulator->rounds, &accumulator->begun);
            moved = true;
        }
        if (accumulator->done.number < accumulator->begun.number) {
            const int64_t group = accumulator->done.group;
            bool done;
            TRY(fabric_test(&accumulator->requests[group], &done, error));
            if (done) {
                TRY(group_end(accumulator, group, error));
                rounds_next(&accumulator->rounds, &accumulator->done);
                moved = true;
            }
        }
    }
    return STATUS_OK;
}

static enum status finish_late(const struct accumulator *accumulator, double seconds,
                               struct error *error)
{
    if (!rounds_over(&accumulator->rounds, &accumulator->begun)) {
        FAIL(error, STATUS_TIMEOUT,
             "waited %.0f s for the slots of this node's other workers (%lld of %lld workers know "
             "their last slot)",
             seconds, (long long)atomic_load(&accumulator->node->header->workers_final),
             (long long)accumulator->topology->local_count);
    }
    FAIL(error, STATUS_TIMEOUT, "waited %.0f s for other nodes in the sum of group \"%s\"", seconds,
         accumulator->partition->table->groups[accumulator->done.group].name);
}

enum status accumulator_finish(struct accumulator *accumulator, struct error *error)
{
    const int64_t start_ns = clock_now_ns();
    TRY(accumulator_poll(accumulator, error));
    for (int64_t polls = 0; !rounds_over(&accumulator->rounds, &accumulator->done); polls++) {
        clock_pause(polls);
        if (partition_divides_sums(accumulator->partition)) {
            TRY(fabric_poll(accumulator->topology->workers, error));
        }
        TRY(accumulator_poll(accumulator, error));
        if (clock_seconds_since(start_ns) > accumulator->limit_seconds) {
            return finish_late(accumulator, clock_seconds_since(start_ns), error);
        }
    }
    return STATUS_OK;
}

void accumulator_reset(struct accumulator *accumulator)
{
    accumulator->final = false;
    accumulator->begun = rounds_first(&accumulator->rounds);
    accumulator->done = accumulator->begun;
    for (int64_t group = 0; group < accumulator->partition->table->group_count; group++) {
        accumulator->added[group] = 0;
    }
}

void accumulator_clear(struct accumulator *accumulator)
{
    const struct partition *const partition = accumulator->partition;
    for (int64_t group = 0;
         group < partition->table->group_count && partition_divides_sums(partition); group++) {
        const struct partition_range owned = partition->owned[group];
        memset(accumulator->node->sums + owned.first, 0,
               (size_t)owned.count * sizeof *accumulator->node->sums);
    }
}
