/* See node_state.h. */
#include "shard/node_state.h"

#include <math.h>

#include <string.h>

enum { NODE_STATE_ALIGNMENT = 4096 };

/* Takes the next aligned part of a layout; with base NULL it only counts. */
static void *layout_take(unsigned char *base, size_t *used_bytes, int64_t count,
                         size_t element_bytes)
{
    void *const place = base == NULL ? NULL : base + *used_bytes;
    const size_t bytes = (size_t)count * element_bytes;
    *used_bytes += (bytes + NODE_STATE_ALIGNMENT - 1) / NODE_STATE_ALIGNMENT * NODE_STATE_ALIGNMENT;
    return place;
}

static size_t node_state_layout(struct node_state *state, const struct parameter_table *table,
                                int64_t owner_count, unsigned char *base)
{
    size_t used = 0;
    state->element_count = table->element_count;
    state->block_count = table->element_count / PARAMETER_BLOCK;
    state->piece_count = state->block_count + table->row_count;
    state->lock_count = (state->block_count + NODE_STATE_LOCK_BLOCKS - 1) / NODE_STATE_LOCK_BLOCKS;
    state->header = layout_take(base, &used, 1, sizeof *state->header);
    state->ledger = layout_take(base, &used, 1, sizeof *state->ledger);
    state->groups = layout_take(base, &used, table->group_count, sizeof *state->groups);
    state->locks = layout_take(base, &used, state->lock_count, sizeof *state->locks);
    state->pieces =
        layout_take(base, &used, state->lock_count + table->group_count, sizeof *state->pieces);
    state->weights = layout_take(base, &used, state->element_count, sizeof *state->weights);
    state->sums = layout_take(base, &used, state->element_count, sizeof *state->sums);
    state->block_norms = layout_take(base, &used, state->block_count, sizeof *state->block_norms);
    state->piece_norms =
        layout_take(base, &used, 2 * state->piece_count, sizeof *state->piece_norms);
    state->digests =
        layout_take(base, &used, FINGERPRINT_ARRAYS * state->block_count, sizeof *state->digests);
    state->first = layout_take(base, &used, state->element_count, sizeof *state->first);
    state->second = layout_take(base, &used, state->element_count, sizeof *state->second);
    state->owners = layout_take(base, &used, owner_count, sizeof *state->owners);
    return used;
}

int64_t node_state_bytes(const struct parameter_table *table, int64_t owner_count)
{
    struct node_state counted = {0};
    return (int64_t)node_state_layout(&counted, table, owner_count, NULL);
}

void node_state_place(struct node_state *state, const struct parameter_table *table,
                      int64_t owner_count)
{
    (void)node_state_layout(state, table, owner_count, state->window.data);
}

/* From the beginning of one part of the layout to that of another. */
static enum status part_reserve(const struct node_state *state, const void *first, const void *next,
                                struct error *error)
{
    const size_t offset = (size_t)((const unsigned char *)first - state->window.data);
    const size_t size_bytes = (size_t)((const unsigned char *)next - (const unsigned char *)first);
    return window_reserve(&state->window, offset, size_bytes, "weights, moments and gradient sums",
                          error);
}

/* Where elements of the weights or the sums lie in the window. */
static size_t array_byte(const struct node_state *state, enum node_array array, int64_t element)
{
    const unsigned char *const place = array == NODE_ARRAY_WEIGHTS
                                           ? (const unsigned char *)(state->weights + element)
                                           : (const unsigned char *)(state->sums + element);
    return (size_t)(place - state->window.data);
}

static enum status array_reserve(const struct node_state *state, enum node_array array,
                                 struct partition_range range, struct error *error)
{
    const size_t first = array_byte(state, array, range.first);
    const size_t next = array_byte(state, array, range.first + range.count);
    return window_reserve(&state->window, first, next - first, "weights and gradient sums", error);
}

enum status node_state_take(const struct node_state *state, const struct partition *partition,
                            enum node_array array, int64_t group, int64_t driver,
                            struct error *error)
{
    TRY(array_reserve(state, array, partition_slice(partition, group, driver), error));
    const int64_t taken = window_taken_bytes(&state->window);
    int64_t seen = atomic_load(&state->header->peak_bytes);
    while (taken > seen &&
           !atomic_compare_exchange_weak(&state->header->peak_bytes, &seen, taken)) {
    }
    return STATUS_OK;
}

int64_t node_state_peak(const struct node_state *state)
{
    const int64_t taken = window_taken_bytes(&state->window);
    const int64_t seen = atomic_load(&state->header->peak_bytes);
    return taken > seen ? taken : seen;
}

enum status node_state_vacate(const struct node_state *state, const struct partition *partition,
                              enum node_array array, int64_t group, int64_t driver,
                              struct error *error)
{
    const struct partition_range slice = partition_slice(partition, group, driver);
    const struct partition_range owned = partition_owned(partition, group, driver);
    const size_t first = array_byte(state, array, slice.first);
    const size_t kept = array_byte(state, array, owned.first);
    const size_t next = array_byte(state, array, owned.first + owned.count);
    const size_t end = array_byte(state, array, slice.first + slice.count);
    TRY(window_vacate(&state->window, first, kept - first, error));
    return window_vacate(&state->window, next, end - next, error);
}

/* Takes the pages of all that this node keeps: of the moments what its drivers own, of weights and
 * sums likewise where nodes divide them. */
static enum status node_state_reserve(const struct node_state *state,
                                      const struct partition *partition, struct error *error)
{
    const struct node_owner *const end = state->owners + partition->driver_count;
    if (partition->node_count == 1 || partition->stage == 0) {
        return part_reserve(state, state->window.data, end, error);
    }
    TRY(part_reserve(state, state->window.data, state->weights, error));
    if (!partition_divides_weights(partition)) {
        TRY(part_reserve(state, state->weights, state->sums, error));
    }
    if (!partition_divides_sums(partition)) {
        TRY(part_reserve(state, state->sums, state->block_norms, error));
    }
    TRY(part_reserve(state, state->block_norms, state->first, error));
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        for (int64_t driver = 0; driver < partition->driver_count; driver++) {
            const struct partition_range owned = partition_owned(partition, group, driver);
            TRY(array_reserve(state, NODE_ARRAY_WEIGHTS, owned, error));
            TRY(array_reserve(state, NODE_ARRAY_SUMS, owned, error));
            const int64_t next = owned.first + owned.count;
            TRY(part_reserve(state, state->first + owned.first, state->first + next, error));
            TRY(part_reserve(state, state->second + owned.first, state->second + next, error));
        }
    }
    return part_reserve(state, state->owners, end, error);
}

enum status node_state_open(struct node_state *state, const struct partition *partition,
                            const struct topology *topology, struct error *error)
{
    *state = (struct node_state){0};
    if (partition->driver_count > NODE_STATE_OWNERS_MAX) {
        FAIL(error, STATUS_LIMIT, "%lld workers on a node are more than %d",
             (long long)partition->driver_count, NODE_STATE_OWNERS_MAX);
    }
    const size_t size_bytes = (size_t)node_state_bytes(partition->table, NODE_STATE_OWNERS_MAX);
    TRY(window_open(&state->window, topology->node, size_bytes, "the run's state", error));
    node_state_place(state, partition->table, NODE_STATE_OWNERS_MAX);
    enum status status = STATUS_OK;
    if (topology->local_index == 0) {
        state->window.large = true;
        status = node_state_reserve(state, partition, error);
        state->window.large = false;
    }
    return fabric_agree(topology->node, status, error);
}

enum status node_state_adopt(struct node_state *state, const struct partition *partition,
                             const struct topology *topology, const char *name,
                             double limit_seconds, bool *found, struct error *error)
{
    *state = (struct node_state){0};
    *found = false;
    if (partition->driver_count > NODE_STATE_OWNERS_MAX) {
        return STATUS_OK;
    }
    const size_t size_bytes = (size_t)node_state_bytes(partition->table, NODE_STATE_OWNERS_MAX);
    TRY(window_adopt(&state->window, topology->node, name, size_bytes, limit_seconds, found,
                     error));
    if (!*found) {
        return STATUS_OK;
    }
    node_state_place(state, partition->table, NODE_STATE_OWNERS_MAX);
    enum status status = STATUS_OK;
    if (topology->local_index == 0) {
        atomic_store(&state->header->barrier.arrived, 0);
        for (int64_t i = 0; i < state->lock_count; i++) {
            atomic_store(&state->locks[i], 0);
        }
        status = node_state_reserve(state, partition, error);
    }
    return fabric_agree(topology->node, status, error);
}

void node_state_close(struct node_state *state)
{
    window_close(&state->window);
    *state = (struct node_state){0};
}

void node_state_reset(struct node_state *state, const struct partition *partition)
{
    struct node_header *const header = state->header;
    atomic_store(&header->workers_final, 0);
    atomic_store(&header->slots_expected, 0);
    for (int64_t i = 0; i < NODE_TOTAL_COUNT; i++) {
        atomic_store(&header->totals[i], 0);
    }
    for (int64_t i = 0; i < NODE_AUDIT_COUNT; i++) {
        atomic_store(&header->audit[i], 0);
    }
    atomic_store(&header->first_bad_slot, 0);
    atomic_store(&header->worst_slot, 0);
    memset(state->pieces, 0,
           (size_t)(state->lock_count + partition->table->group_count) * sizeof *state->pieces);
    for (int64_t group = 0; group < partition->table->group_count; group++) {
        struct node_group *const row = &state->groups[group];
        atomic_store(&row->slots_added, 0);
        atomic_store(&row->sums_reserved, 0);
        atomic_store(&row->sums_drained, 0);
        atomic_store(&row->weights, 0);
    }
    if (partition->node_count > 1 && partition->stage > 0) { /* united by adding */
        memset(state->block_norms, 0, (size_t)state->block_count * sizeof *state->block_norms);
        memset(state->piece_norms, 0, (size_t)(2 * state->piece_count) * sizeof(double));
    }
}

struct node_piece *node_state_piece(const struct node_state *state, int64_t group, int64_t element)
{
    return &state->pieces[element / (NODE_STATE_LOCK_BLOCKS * PARAMETER_BLOCK) + group];
}

float *node_state_gradient(const struct node_state *state, int64_t block)
{
    return (float *)(state->sums + block * PARAMETER_BLOCK);
}

void node_state_digests(struct node_state *state, struct partition_range range)
{
    const float *const arrays[FINGERPRINT_ARRAYS] = {state->weights, state->first, state->second};
    for (int64_t i = 0; i < FINGERPRINT_ARRAYS; i++) {
        fingerprint_blocks(state->digests + i * state->block_count + range.first / PARAMETER_BLOCK,
                           arrays[i] + range.first, range.count);
    }
}

/* Packed so that the largest integer is the answer: loss in 2^-20 nats above 20 bits of slot. */
enum { WORST_SLOT_BITS = 20, WORST_LOSS_BITS = 20 };

void node_state_worst(struct node_state *state, int64_t slot, double loss)
{
    const double most = ldexp(1.0, 62 - WORST_SLOT_BITS);
    const double units = loss * ldexp(1.0, WORST_LOSS_BITS);
    const int64_t kept = units > 0 && units < most ? (int64_t)units : units > 0 ? (int64_t)most : 0;
    const int64_t packed = (kept << WORST_SLOT_BITS) | ((INT64_C(1) << WORST_SLOT_BITS) - 1 - slot);
    int64_t seen = atomic_load(&state->header->worst_slot);
    while (packed > seen &&
           !atomic_compare_exchange_weak(&state->header->worst_slot, &seen, packed)) {
    }
}

int64_t node_state_worst_slot(int64_t worst)
{
    const int64_t mask = (INT64_C(1) << WORST_SLOT_BITS) - 1;
    return mask - (worst & mask);
}
