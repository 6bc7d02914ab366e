/* See node_state.h. */
#include "shard/node_state.h"

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
                                unsigned char *base)
{
    size_t used = 0;
    state->element_count = table->element_count;
    state->block_count = table->element_count / PARAMETER_BLOCK;
    state->lock_count = (state->block_count + NODE_STATE_LOCK_BLOCKS - 1) / NODE_STATE_LOCK_BLOCKS;
    state->header = layout_take(base, &used, 1, sizeof *state->header);
    state->slots_added = layout_take(base, &used, table->group_count, sizeof *state->slots_added);
    state->locks = layout_take(base, &used, state->lock_count, sizeof *state->locks);
    state->weights = layout_take(base, &used, state->element_count, sizeof *state->weights);
    state->sums = layout_take(base, &used, state->element_count, sizeof *state->sums);
    state->block_norms = layout_take(base, &used, state->block_count, sizeof *state->block_norms);
    state->digests =
        layout_take(base, &used, FINGERPRINT_ARRAYS * state->block_count, sizeof *state->digests);
    return used;
}

int64_t node_state_bytes(const struct parameter_table *table)
{
    struct node_state counted = {0};
    return (int64_t)node_state_layout(&counted, table, NULL);
}

void node_state_place(struct node_state *state, const struct parameter_table *table)
{
    (void)node_state_layout(state, table, state->window.data);
}

enum status node_state_open(struct node_state *state, const struct parameter_table *table,
                            struct fabric_group *node, struct error *error)
{
    *state = (struct node_state){0};
    TRY(window_open(&state->window, node, (size_t)node_state_bytes(table),
                    "weights and gradient sums", error));
    node_state_place(state, table);
    return STATUS_OK;
}

void node_state_close(struct node_state *state)
{
    window_close(&state->window);
    *state = (struct node_state){0};
}
