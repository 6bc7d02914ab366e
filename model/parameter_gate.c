/* See parameter_gate.h. */
#include "model/parameter_gate.h"

#include <stddef.h>

enum gate_call { GATE_CALL_AHEAD, GATE_CALL_HOLD, GATE_CALL_DROP };

static void group_tell(const struct parameter_gate *gate, enum gate_call call, int64_t group)
{
    if (gate == NULL) {
        return;
    }
    switch (call) {
    case GATE_CALL_AHEAD:
        gate->ahead(gate->context, group);
        break;
    case GATE_CALL_HOLD:
        gate->hold(gate->context, group);
        break;
    case GATE_CALL_DROP:
        gate->drop(gate->context, group);
        break;
    }
}

static bool layers_use(const struct parameter_table *table, int64_t first, int64_t end,
                       int64_t group)
{
    for (int64_t layer = first; layer < end; layer++) {
        for (int half = 0; half < PARAMETER_HALVES; half++) {
            if (parameter_layer_group(table, layer, (enum parameter_half)half) == group) {
                return true;
            }
        }
    }
    return false;
}

/* The groups of a layer that no lower (or, not `lowest`, no higher) one of the section uses. */
static void layer_tell(const struct parameter_gate *gate, enum gate_call call,
                       const struct parameter_table *table, const struct section *section,
                       int64_t layer, bool lowest)
{
    const int64_t first = lowest ? section->first_layer : layer + 1;
    const int64_t end = lowest ? layer : section->end_layer;
    int64_t told = -1;
    for (int half = 0; gate != NULL && half < PARAMETER_HALVES; half++) {
        const int64_t group = parameter_layer_group(table, layer, (enum parameter_half)half);
        if (group != told && !layers_use(table, first, end, group)) {
            group_tell(gate, call, group);
            told = group;
        }
    }
}

void parameter_gate_embeddings(const struct parameter_gate *gate,
                               const struct parameter_table *table, const struct section *section,
                               bool forward)
{
    group_tell(gate, GATE_CALL_HOLD, parameter_embedding_group(table));
    if (forward) {
        layer_tell(gate, GATE_CALL_AHEAD, table, section, 0, true);
    }
}

void parameter_gate_embeddings_done(const struct parameter_gate *gate,
                                    const struct parameter_table *table)
{
    group_tell(gate, GATE_CALL_DROP, parameter_embedding_group(table));
}

void parameter_gate_up(const struct parameter_gate *gate, const struct parameter_table *table,
                       const struct section *section, int64_t layer)
{
    layer_tell(gate, GATE_CALL_HOLD, table, section, layer, true);
    if (layer + 1 < section->end_layer) {
        layer_tell(gate, GATE_CALL_AHEAD, table, section, layer + 1, true);
    } else if (section_is_last(section)) {
        group_tell(gate, GATE_CALL_AHEAD, parameter_head_group(table));
        group_tell(gate, GATE_CALL_AHEAD, parameter_embedding_group(table));
    }
}

void parameter_gate_up_done(const struct parameter_gate *gate, const struct parameter_table *table,
                            const struct section *section, int64_t layer)
{
    layer_tell(gate, GATE_CALL_DROP, table, section, layer, false);
}

void parameter_gate_head(const struct parameter_gate *gate, const struct parameter_table *table)
{
    group_tell(gate, GATE_CALL_HOLD, parameter_head_group(table));
    group_tell(gate, GATE_CALL_HOLD, parameter_embedding_group(table));
}

void parameter_gate_head_done(const struct parameter_gate *gate,
                              const struct parameter_table *table)
{
    group_tell(gate, GATE_CALL_DROP, parameter_head_group(table));
    group_tell(gate, GATE_CALL_DROP, parameter_embedding_group(table));
}

void parameter_gate_turn(const struct parameter_gate *gate, const struct parameter_table *table,
                         const struct section *section)
{
    layer_tell(gate, GATE_CALL_HOLD, table, section, section->end_layer - 1, false);
}

void parameter_gate_down(const struct parameter_gate *gate, const struct parameter_table *table,
                         const struct section *section, int64_t layer)
{
    if (layer > section->first_layer) {
        layer_tell(gate, GATE_CALL_HOLD, table, section, layer - 1, false);
    }
    if (layer > section->first_layer + 1) {
        layer_tell(gate, GATE_CALL_AHEAD, table, section, layer - 2, false);
    } else if (section_is_first(section)) {
        group_tell(gate, GATE_CALL_AHEAD, parameter_embedding_group(table));
    }
}

void parameter_gate_down_done(const struct parameter_gate *gate,
                              const struct parameter_table *table, const struct section *section,
                              int64_t layer)
{
    layer_tell(gate, GATE_CALL_DROP, table, section, layer, true);
}
