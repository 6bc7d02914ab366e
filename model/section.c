/* See section.h. */
#include "model/section.h"

#include "model/cut_groups.h"

/* Work of the heads in units of one layer's: products alone. */
static double heads_in_layers(const struct model_options *options,
                              const struct batch_limits *limits)
{
    const double c = (double)options->hidden;
    const double e = (double)model_embedding_width(options);
    const double layer = 4.0 * c * c + 2.0 * c * (double)options->feed_forward;
    const double share = (double)limits->target_count / (double)limits->token_count;
    return share * e * (c + (double)options->vocabulary) / layer;
}

/* Layers of the last section, which has the heads besides. */
static int64_t layers_of_last(const struct model_options *options,
                              const struct batch_limits *limits, int64_t count)
{
    const double heads = heads_in_layers(options, limits);
    const double even = ((double)options->layers + heads) / (double)count - heads;
    const int64_t most = options->layers - (count - 1);
    const int64_t wanted = even < 1.0 ? 1 : (int64_t)(even + 0.5);
    return wanted < most ? wanted : most;
}

struct section section_make(const struct model_options *options, const struct batch_limits *limits,
                            int64_t index, int64_t count)
{
    INVARIANT(index >= 0 && index < count && count <= options->layers);
    struct section section = {.index = index, .count = count, .end_layer = options->layers};
    if (count > 1) {
        const int64_t others = options->layers - layers_of_last(options, limits, count);
        section.first_layer = others * index / (count - 1);
        if (index < count - 1) {
            section.end_layer = others * (index + 1) / (count - 1);
        }
    }
    return section;
}

struct section section_of(const struct model_options *options, const struct batch_limits *limits,
                          const struct model_role *role)
{
    return section_make(options, limits, role->section,
                        role->section_count > 1 ? role->section_count : 1);
}

bool section_is_first(const struct section *section)
{
    return section->index == 0;
}

bool section_is_last(const struct section *section)
{
    return section->index == section->count - 1;
}

bool section_adds_to_group(const struct section *section, const struct parameter_table *table,
                           int64_t group)
{
    return section_has_group(section, table, group) ||
           cut_groups_has(&table->groups[group], section->first_layer);
}

bool section_has_group(const struct section *section, const struct parameter_table *table,
                       int64_t group)
{
    if (group == parameter_embedding_group(table)) {
        return section_is_first(section) || section_is_last(section);
    }
    if (group == parameter_head_group(table)) {
        return section_is_last(section);
    }
    const struct parameter_group *const row = &table->groups[group];
    return row->lowest_layer >= section->first_layer && row->lowest_layer < section->end_layer;
}

int64_t section_slots_in_flight(const struct section *section)
{
    return section->count - section->index;
}

enum status section_check(const struct model_options *options, int64_t count, struct error *error)
{
    if (count > options->layers) {
        FAIL(error, STATUS_INPUT, "shard.pipeline is %lld, but the model has %lld layers",
             (long long)count, (long long)options->layers);
    }
    return STATUS_OK;
}
