/* See cut_groups.h. */
#include "model/cut_groups.h"

#include <string.h>

bool cut_groups_has(const struct parameter_group *group, int64_t layer)
{
    return group->lowest_layer >= 0 && group->lowest_layer < layer && group->highest_layer >= layer;
}

int64_t cut_groups_size(const struct parameter_table *table, const struct parts *parts,
                        int64_t layer)
{
    int64_t size = 0;
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct parameter_group *const row = &table->groups[group];
        size += cut_groups_has(row, layer) ? gradient_blocks_elements(table, parts, group) : 0;
    }
    return size;
}

void cut_groups_give(const struct parameter_table *table, const struct parts *parts, int64_t layer,
                     float *const *gradients, float *sums)
{
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct parameter_group *const row = &table->groups[group];
        if (cut_groups_has(row, layer)) {
            const int64_t elements = gradient_blocks_elements(table, parts, group);
            memcpy(sums, gradients[group], (size_t)elements * sizeof *sums);
            sums += elements;
        }
    }
}

void cut_groups_take(const struct parameter_table *table, const struct parts *parts, int64_t layer,
                     float *const *gradients, const float *sums)
{
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct parameter_group *const row = &table->groups[group];
        if (cut_groups_has(row, layer)) {
            const int64_t elements = gradient_blocks_elements(table, parts, group);
            memcpy(gradients[group], sums, (size_t)elements * sizeof *sums);
            sums += elements;
        }
    }
}
