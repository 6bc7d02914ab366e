/* See optimizer.h. */
#include "shard/optimizer.h"

#include <math.h>

#include "base/memory.h"
#include "shard/schedule.h"

static const double clip_epsilon = 1e-6; /* torch.nn.utils.clip_grad_norm_ */

void optimizer_init(struct optimizer *optimizer, const struct kernels *kernels,
                    const struct optimizer_options *options, const struct partition *partition)
{
    *optimizer = (struct optimizer){
        .kernels = kernels,
        .options = options,
        .partition = partition,
        .gradient = memory_take(PARAMETER_BLOCK, sizeof(float), "gradient block"),
    };
}

void optimizer_deinit(struct optimizer *optimizer)
{
    memory_release(optimizer->gradient);
    *optimizer = (struct optimizer){0};
}

static void block_gradient(struct optimizer *optimizer, const struct node_state *node,
                           int64_t first)
{
    optimizer->kernels->fixed_point_value(optimizer->gradient, node->sums + first,
                                          ACCUMULATOR_FRACTION_BITS, PARAMETER_BLOCK);
}

void optimizer_norms(struct optimizer *optimizer, struct node_state *node)
{
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            block_gradient(optimizer, node, i);
            node->block_norms[i / PARAMETER_BLOCK] =
                optimizer->kernels->square_sum(optimizer->gradient, PARAMETER_BLOCK);
        }
    }
}

/* Sum in index order: the same on every worker, whoever wrote the parts. */
static double norm_total(const struct node_state *node)
{
    double sum = 0;
    for (int64_t block = 0; block < node->block_count; block++) {
        sum += node->block_norms[block];
    }
    return sqrt(sum);
}

void optimizer_begin(struct optimizer *optimizer, const struct node_state *node,
                     struct optimizer_step *step)
{
    const struct optimizer_options *const options = optimizer->options;
    const double mean = step->targets > 0 ? 1.0 / (step->loss_scale * (double)step->targets) : 0.0;
    step->norm = norm_total(node) * mean;
    step->rate = schedule_rate(options, step->step);
    const double factor = options->clip_norm > 0.0
                              ? fmin(1.0, options->clip_norm / (step->norm + clip_epsilon))
                              : 1.0;
    const double t = (double)step->step;
    optimizer->settings = (struct kernels_adamw){
        .rate = step->rate,
        .beta1 = options->betas[0],
        .beta2 = options->betas[1],
        .epsilon = options->epsilon,
        .correction1 = options->bias_correction ? 1.0 / (1.0 - pow(options->betas[0], t)) : 1.0,
        .correction2 = options->bias_correction ? 1.0 / (1.0 - pow(options->betas[1], t)) : 1.0,
        .gradient_scale = mean * factor,
    };
}

/* One block: cut where tensors begin and end, since weight decay depends on the tensor. `row` walks
 * the table. */
static void block_update(struct optimizer *optimizer, struct node_state *node, int64_t first,
                         int64_t *row)
{
    const struct parameter_table *const table = optimizer->partition->table;
    struct kernels_adamw *const settings = &optimizer->settings;
    while (*row < table->row_count && table->rows[*row].offset + table->rows[*row].count <= first) {
        (*row)++;
    }
    const int64_t end = first + PARAMETER_BLOCK;
    for (int64_t r = *row; r < table->row_count && table->rows[r].offset < end; r++) {
        const struct parameter *const tensor = &table->rows[r];
        const int64_t from = tensor->offset > first ? tensor->offset : first;
        const int64_t tensor_end = tensor->offset + tensor->count;
        const int64_t to = tensor_end < end ? tensor_end : end;
        settings->weight_decay = tensor->decays ? optimizer->options->weight_decay : 0.0;
        optimizer->kernels->adamw(node->weights + from, node->first + from, node->second + from,
                                  optimizer->gradient + (from - first), settings, to - from);
    }
}

void optimizer_update(struct optimizer *optimizer, struct node_state *node,
                      struct partition_range range)
{
    int64_t row = 0;
    for (int64_t i = range.first; i < range.first + range.count; i += PARAMETER_BLOCK) {
        block_gradient(optimizer, node, i);
        block_update(optimizer, node, i, &row);
    }
}
