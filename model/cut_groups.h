/* Groups whose layers stand on both sides of a cut between two sections of a pipeline (ALBERT).
 * Their gradient is one float sum, from the highest of these layers down to the lowest: the section
 * above the cut hands what it has of it to the one below, which goes on adding. The section with
 * the lowest layer has the whole gradient. */
#ifndef SHARDLM_MODEL_CUT_GROUPS_H
#define SHARDLM_MODEL_CUT_GROUPS_H

#include "model/gradient_blocks.h"

bool cut_groups_has(const struct parameter_group *group, int64_t layer); /* below `layer` */
/* Sums that a member of a team sends over the cut below `layer`, in floats; 0: it parts no group.
 */
int64_t cut_groups_size(const struct parameter_table *table, const struct parts *parts,
                        int64_t layer);
/* sums = those of `gradients` (by group). */
void cut_groups_give(const struct parameter_table *table, const struct parts *parts, int64_t layer,
                     float *const *gradients, float *sums);
/* The other way. */
void cut_groups_take(const struct parameter_table *table, const struct parts *parts, int64_t layer,
                     float *const *gradients, const float *sums);

#endif
