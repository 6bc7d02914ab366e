/* The softmax of a row whose columns lie in parts: the whole from what each part found, always in
 * the order of the columns, whoever computed them. */
#include "kernels/functions.h"
#include "kernels/kernels.h"

/* The largest of all parts; of equal ones the first, so that `best` is the lowest column. */
static struct kernels_softmax_part row_join(const struct kernels_softmax_part *parts,
                                            int64_t part_count, int64_t stride)
{
    struct kernels_softmax_part whole = parts[0];
    for (int64_t p = 1; p < part_count; p++) {
        const struct kernels_softmax_part *const part = &parts[p * stride];
        if (part->most > whole.most) {
            whole.most = part->most;
            whole.best = part->best;
        }
        whole.target = part->target > whole.target ? part->target : whole.target;
    }
    whole.sum = 0;
    for (int64_t p = 0; p < part_count; p++) {
        const struct kernels_softmax_part *const part = &parts[p * stride];
        whole.sum += part->sum * function_exp_below((double)part->most - (double)whole.most);
    }
    return whole;
}

void kernels_softmax_join(struct kernels_softmax_part *wholes,
                          const struct kernels_softmax_part *parts, int64_t part_count,
                          const int32_t *targets, double *loss_sum, int64_t *correct, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        wholes[i] = row_join(parts + i, part_count, count);
        *loss_sum +=
            function_log(wholes[i].sum) + ((double)wholes[i].most - (double)wholes[i].target);
        *correct += wholes[i].best == targets[i] ? 1 : 0;
    }
}
