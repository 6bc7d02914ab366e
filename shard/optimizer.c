/* See optimizer.h. */
#include "shard/optimizer.h"

#include <math.h>

#include "base/memory.h"
#include "shard/schedule.h"

static const double clip_epsilon = 1e-6; /* torch.nn.utils.clip_grad_norm_ */

void optimizer_init(struct optimizer *optimizer, const struct kernels *kernels,
                    const struct optimizer_options *options, const struct partition *partition)
{
    const size_t owned = (size_t)partition->owned_count;
    *optimizer = (struct optimizer){
        .kernels = kernels,
        .options = options,
        .partition = partition,
        .first = memory_take(owned, sizeof(float), "first moments"),
        .second = memory_take(owned, sizeof(float), "second moments"),
        .gradient = memory_take(PARAMETER_BLOCK, sizeof(float), "gradient block"),
    };
}

void optimizer_deinit(struct optimizer *optimizer)
{
    memory_release(optimizer->first);
    memory_release(optimizer->second);
    memory_release(optimizer->gradient);
    *optimizer = (struct optimizer){0};
}

void optimizer_norms(struct optimizer *optimizer, const struct accumulator *accumulator,
                     struct node_state *node)
{
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        const int64_t *const sums = accumulator_owned(accumulator, group);
        for (int64_t i = 0; i < owned.count; i += PARAMETER_BLOCK) {
            optimizer->kernels->fixed_point_value(optimizer->gradient, sums + i,
                                                  ACCUMULATOR_FRACTION_BITS, PARAMETER_BLOCK);
            node->block_norms[(owned.first + i) / PARAMETER_BLOCK] =
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

static struct kernels_adamw adamw_settings(const struct optimizer_options *options,
                                           struct optimizer_step *step, double raw_norm)
{
    const double mean = step->targets > 0 ? 1.0 / (step->loss_scale * (double)step->targets) : 0.0;
    step->norm = raw_norm * mean;
    step->rate = schedule_rate(options, step->step);
    const double factor = options->clip_norm > 0.0
                              ? fmin(1.0, options->clip_norm / (step->norm + clip_epsilon))
                              : 1.0;
    const double t = (double)step->step;
    return (struct kernels_adamw){
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
static void block_update(struct optimizer *optimizer, struct node_state *node,
                         struct kernels_adamw *settings, int64_t first, int64_t offset,
                         int64_t *row)
{
    const struct parameter_table *const table = optimizer->partition->table;
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
        const int64_t moment = offset + (from - first);
        optimizer->kernels->adamw(node->weights + from, optimizer->first + moment,
                                  optimizer->second + moment, optimizer->gradient + (from - first),
                                  settings, to - from);
    }
}

static void block_digests(const struct optimizer *optimizer, struct node_state *node, int64_t first,
                          int64_t offset)
{
    const int64_t block = first / PARAMETER_BLOCK;
    const int64_t count = node->block_count;
    fingerprint_blocks(node->digests + block, node->weights + first, PARAMETER_BLOCK);
    fingerprint_blocks(node->digests + count + block, optimizer->first + offset, PARAMETER_BLOCK);
    fingerprint_blocks(node->digests + 2 * count + block, optimizer->second + offset,
                       PARAMETER_BLOCK);
}

void optimizer_update(struct optimizer *optimizer, const struct accumulator *accumulator,
                      struct node_state *node, struct optimizer_step *step, bool digests)
{
    struct kernels_adamw settings = adamw_settings(optimizer->options, step, norm_total(node));
    int64_t row = 0;
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        const int64_t *const sums = accumulator_owned(accumulator, group);
        for (int64_t i = 0; i < owned.count; i += PARAMETER_BLOCK) {
            const int64_t offset = optimizer->partition->owned_offset[group] + i;
            optimizer->kernels->fixed_point_value(optimizer->gradient, sums + i,
                                                  ACCUMULATOR_FRACTION_BITS, PARAMETER_BLOCK);
            block_update(optimizer, node, &settings, owned.first + i, offset, &row);
            if (digests) {
                block_digests(optimizer, node, owned.first + i, offset);
            }
        }
    }
}

void optimizer_digests(const struct optimizer *optimizer, struct node_state *node)
{
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = 0; i < owned.count; i += PARAMETER_BLOCK) {
            block_digests(optimizer, node, owned.first + i,
                          optimizer->partition->owned_offset[group] + i);
        }
    }
}
