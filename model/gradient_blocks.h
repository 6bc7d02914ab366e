/* What of a group's gradient one member of a team forms (parts.h): of tensors that are cut, its
 * parts; of the others all, which the first member hands over. A member has no memory for the rest:
 * each cut tensor stands in its array as a smaller one of the same form, one tensor after the other
 * as in the parameter table. Where all parts are here that is the group as it is. */
#ifndef SHARDLM_MODEL_GRADIENT_BLOCKS_H
#define SHARDLM_MODEL_GRADIENT_BLOCKS_H

#include "model/parameters.h"
#include "model/parts.h"

/* `rows` runs of `width` elements: where they stand in the group, and in the member's array. */
struct gradient_block {
    int64_t rows, width;
    int64_t first, stride;
    int64_t local, local_stride;
};

/* What a member hands over of a group. */
struct gradient_blocks {
    const struct gradient_block *blocks;
    int64_t count;
    int64_t elements; /* of the member's array, which has what it does not hand over, too */
};

/* Where a tensor stands in the array of its group. */
struct gradient_tensor {
    int64_t local;
    int64_t count;
};
struct gradient_tensor gradient_tensor_of(const struct parameter_table *table,
                                          const struct parts *parts, const struct parameter *row);

/* Elements of the member's array. */
int64_t gradient_blocks_elements(const struct parameter_table *table, const struct parts *parts,
                                 int64_t group);
/* Writes the group's blocks, unless `blocks` is NULL; returns how many there are. */
int64_t gradient_blocks_list(const struct parameter_table *table, const struct parts *parts,
                             int64_t group, struct gradient_block *blocks);

#endif
