/* See gradient_blocks.h. */
#include "model/gradient_blocks.h"

/* How a tensor is cut: stacked matrices, each alike along one axis of what is stored. */
struct cut {
    bool is_cut;
    bool columns;
    int64_t segments;
    int64_t height; /* of a segment, along the axis that is cut */
    int64_t across; /* elements along the other */
};

static bool role_is_stacked(enum parameter_role role)
{
    return role == PARAMETER_QUERY_WEIGHT || role == PARAMETER_KEY_WEIGHT ||
           role == PARAMETER_VALUE_WEIGHT || role == PARAMETER_QUERY_BIAS ||
           role == PARAMETER_KEY_BIAS || role == PARAMETER_VALUE_BIAS;
}

static struct cut cut_of(const struct parameter_table *table, const struct parameter *row)
{
    struct cut cut = {.is_cut = true, .segments = 1};
    switch ((int)row->role) {
    case PARAMETER_WORD:
    case PARAMETER_QUERY_WEIGHT:
    case PARAMETER_KEY_WEIGHT:
    case PARAMETER_VALUE_WEIGHT:
    case PARAMETER_QUERY_BIAS:
    case PARAMETER_KEY_BIAS:
    case PARAMETER_VALUE_BIAS:
    case PARAMETER_INNER_WEIGHT:
    case PARAMETER_INNER_BIAS:
    case PARAMETER_DECODER_BIAS:
    case PARAMETER_SPAN_DECODER_BIAS:
        cut.columns = row->input_major; /* along its outputs */
        break;
    case PARAMETER_ATTENTION_WEIGHT:
    case PARAMETER_OUTER_WEIGHT:
        cut.columns = !row->input_major; /* along its inputs */
        break;
    default:
        return (struct cut){.is_cut = false};
    }
    const int64_t extent = cut.columns ? row->cols : row->rows;
    if (role_is_stacked(row->role)) { /* three may be one tensor */
        cut.segments = extent / parameter_of(table, row->group, PARAMETER_ATTENTION_WEIGHT)->rows;
    }
    cut.height = extent / cut.segments;
    cut.across = row->count / extent;
    return cut;
}

static int64_t tensor_count(const struct parameter_table *table, const struct parts *parts,
                            const struct parameter *row)
{
    const struct cut cut = cut_of(table, row);
    return cut.is_cut ? cut.segments * parts_local(parts, cut.height).count * cut.across
                      : row->count;
}

struct gradient_tensor gradient_tensor_of(const struct parameter_table *table,
                                          const struct parts *parts, const struct parameter *row)
{
    const struct parameter_group *const group = &table->groups[row->group];
    if (parts->member_count == 1) {
        return (struct gradient_tensor){row->offset - group->offset, row->count};
    }
    int64_t local = 0;
    for (const struct parameter *before = &table->rows[group->first_row]; before < row; before++) {
        local += tensor_count(table, parts, before);
        if (before->offset + before->count != before[1].offset) { /* else they are joined */
            local = (local + PARAMETER_ALIGNMENT - 1) / PARAMETER_ALIGNMENT * PARAMETER_ALIGNMENT;
        }
    }
    return (struct gradient_tensor){local, tensor_count(table, parts, row)};
}

int64_t gradient_blocks_elements(const struct parameter_table *table, const struct parts *parts,
                                 int64_t group)
{
    const struct parameter_group *const row = &table->groups[group];
    if (parts->member_count == 1) {
        return row->count;
    }
    const struct gradient_tensor last =
        gradient_tensor_of(table, parts, &table->rows[row->first_row + row->row_count - 1]);
    return last.local + last.count;
}

/* Segment `segment` of a tensor that is cut, whose array begins at `local` and that begins at
 * `first` in its group. */
static struct gradient_block segment_block(const struct parts *parts, const struct cut *cut,
                                           int64_t segment, int64_t first, int64_t local)
{
    const struct parts_range range = parts_local(parts, cut->height);
    const int64_t above = segment * cut->height + range.first;
    if (cut->columns) {
        return (struct gradient_block){.rows = cut->across,
                                       .width = range.count,
                                       .first = first + above,
                                       .stride = cut->segments * cut->height,
                                       .local = local + segment * range.count,
                                       .local_stride = cut->segments * range.count};
    }
    const int64_t width = range.count * cut->across;
    return (struct gradient_block){.rows = 1,
                                   .width = width,
                                   .first = first + above * cut->across,
                                   .stride = width,
                                   .local = local + segment * width};
}

int64_t gradient_blocks_list(const struct parameter_table *table, const struct parts *parts,
                             int64_t group, struct gradient_block *blocks)
{
    const struct parameter_group *const owner = &table->groups[group];
    int64_t count = 0;
    if (parts->member_count == 1) {
        if (blocks != NULL) {
            blocks[0] = (struct gradient_block){1, owner->count, 0, owner->count, 0, 0};
        }
        return 1;
    }
    for (int64_t i = 0; i < owner->row_count; i++) {
        const struct parameter *const row = &table->rows[owner->first_row + i];
        const int64_t first = row->offset - owner->offset;
        const int64_t local = gradient_tensor_of(table, parts, row).local;
        const struct cut cut = cut_of(table, row);
        const int64_t pieces = cut.is_cut ? cut.segments : parts->member == 0 ? 1 : 0;
        for (int64_t piece = 0; piece < pieces && blocks != NULL; piece++) {
            blocks[count + piece] =
                cut.is_cut ? segment_block(parts, &cut, piece, first, local)
                           : (struct gradient_block){1, row->count, first, row->count, local, 0};
        }
        count += pieces;
    }
    return count;
}
