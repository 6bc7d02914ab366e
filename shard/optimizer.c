/* See optimizer.h. */
#include "shard/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "shard/piece_sums.h"
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
        .direction = memory_take(PARAMETER_BLOCK, sizeof(float), "direction block"),
        .moments = memory_take(2 * (size_t)PARAMETER_BLOCK, sizeof(float), "moment blocks"),
    };
}

void optimizer_deinit(struct optimizer *optimizer)
{
    memory_release(optimizer->gradient);
    memory_release(optimizer->direction);
    memory_release(optimizer->moments);
    *optimizer = (struct optimizer){0};
}

/* Sums come from memory while those of the chunk before are at work, as weights and moments do
 * (kernels_adamw.ahead): the update waits for memory more than for anything else. */
static void block_gradient(struct optimizer *optimizer, const struct node_state *node,
                           int64_t first)
{
    enum { RUN = 64, LINE_SUMS = 8, LOCALITY_SECOND = 2 };
    for (int64_t i = 0; i < PARAMETER_BLOCK; i += RUN) {
        const int64_t *const sums = node->sums + first + i;
        for (int64_t line = 0; line < RUN; line += LINE_SUMS) {
            __builtin_prefetch(sums + NODE_STATE_CHUNK + line, 0, LOCALITY_SECOND);
        }
        optimizer->kernels->fixed_point_value(optimizer->gradient + i, sums,
                                              ACCUMULATOR_FRACTION_BITS, RUN);
    }
}

void optimizer_norms(struct optimizer *optimizer, struct node_state *node)
{
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            if (!node_state_piece(node, group, i)->measured) {
                node->block_norms[i / PARAMETER_BLOCK] =
                    piece_sums_block_norm(optimizer->kernels, node->sums + i, optimizer->gradient);
            }
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
    optimizer->trust_row = -1;
    optimizer->settings = (struct kernels_adamw){
        .rate = step->rate,
        .beta1 = options->betas[0],
        .beta2 = options->betas[1],
        .epsilon = options->epsilon,
        .correction1 = options->bias_correction ? 1.0 / (1.0 - pow(options->betas[0], t)) : 1.0,
        .correction2 = options->bias_correction ? 1.0 / (1.0 - pow(options->betas[1], t)) : 1.0,
        .gradient_scale = mean * factor,
        .ahead = NODE_STATE_CHUNK,
    };
}

/* A tensor's part in one block. */
struct piece {
    const struct parameter *tensor;
    int64_t row;    /* the tensor's, in the table */
    int64_t first;  /* element of the flat space */
    int64_t inside; /* element of the block */
    int64_t count;
};

/* One block: cut where tensors begin and end, since weight decay and LAMB depend on the tensor.
 * `row` walks the table. */
static void block_pieces(struct optimizer *optimizer, struct node_state *node, int64_t first,
                         int64_t *row,
                         void (*call)(struct optimizer *optimizer, struct node_state *node,
                                      const struct piece *piece))
{
    const struct parameter_table *const table = optimizer->partition->table;
    while (*row < table->row_count && table->rows[*row].offset + table->rows[*row].count <= first) {
        (*row)++;
    }
    block_gradient(optimizer, node, first);
    const int64_t end = first + PARAMETER_BLOCK;
    for (int64_t r = *row; r < table->row_count && table->rows[r].offset < end; r++) {
        const struct parameter *const tensor = &table->rows[r];
        const int64_t from = tensor->offset > first ? tensor->offset : first;
        const int64_t tensor_end = tensor->offset + tensor->count;
        const int64_t to = tensor_end < end ? tensor_end : end;
        const struct piece piece = {tensor, r, from, from - first, to - from};
        optimizer->settings.weight_decay = tensor->decays ? optimizer->options->weight_decay : 0.0;
        call(optimizer, node, &piece);
    }
}

static void piece_adamw(struct optimizer *optimizer, struct node_state *node,
                        const struct piece *piece)
{
    optimizer->kernels->adamw(node->weights + piece->first, node->first + piece->first,
                              node->second + piece->first, optimizer->gradient + piece->inside,
                              &optimizer->settings, piece->count);
}

/* New moments in place, and optimizer->direction from them. */
static void piece_direction(struct optimizer *optimizer, const float *weights, float *first,
                            float *second, const struct piece *piece)
{
    optimizer->kernels->lamb_moments(first, second, optimizer->gradient + piece->inside,
                                     &optimizer->settings, piece->count);
    optimizer->kernels->lamb_direction(optimizer->direction, weights, first, second,
                                       &optimizer->settings, piece->count);
}

static double *piece_place(const struct node_state *node, int64_t block, int64_t row)
{
    return node->piece_norms + 2 * (block + row);
}

static void piece_norms(struct optimizer *optimizer, struct node_state *node,
                        const struct piece *piece)
{
    const float *const weights = node->weights + piece->first;
    float *const first = optimizer->moments; /* the node's change in the update only */
    float *const second = optimizer->moments + PARAMETER_BLOCK;
    double *const norms = piece_place(node, piece->first / PARAMETER_BLOCK, piece->row);
    memcpy(first, node->first + piece->first, (size_t)piece->count * sizeof *first);
    memcpy(second, node->second + piece->first, (size_t)piece->count * sizeof *second);
    piece_direction(optimizer, weights, first, second, piece);
    norms[0] = optimizer->kernels->square_sum(weights, piece->count);
    norms[1] = optimizer->kernels->square_sum(optimizer->direction, piece->count);
}

/* Of the whole tensor, its parts in index order; 1 for biases and LayerNorm. */
static double trust_ratio(const struct node_state *node, const struct parameter *tensor,
                          int64_t row)
{
    double sums[2] = {0, 0};
    if (!tensor->decays) {
        return 1.0;
    }
    const int64_t last = (tensor->offset + tensor->count - 1) / PARAMETER_BLOCK;
    for (int64_t block = tensor->offset / PARAMETER_BLOCK; block <= last; block++) {
        const double *const norms = piece_place(node, block, row);
        sums[0] += norms[0];
        sums[1] += norms[1];
    }
    return kernels_trust_ratio(sums[0], sums[1]);
}

static void piece_lamb(struct optimizer *optimizer, struct node_state *node,
                       const struct piece *piece)
{
    float *const weights = node->weights + piece->first;
    if (optimizer->trust_row != piece->row) {
        optimizer->trust_row = piece->row;
        optimizer->trust = trust_ratio(node, piece->tensor, piece->row);
    }
    piece_direction(optimizer, weights, node->first + piece->first, node->second + piece->first,
                    piece);
    optimizer->kernels->lamb_apply(weights, optimizer->direction,
                                   optimizer->settings.rate * optimizer->trust, piece->count);
}

bool optimizer_adapts(const struct optimizer *optimizer)
{
    return optimizer->options->name == OPTIMIZER_NAME_LAMB;
}

void optimizer_piece_norms(struct optimizer *optimizer, struct node_state *node)
{
    int64_t row = 0;
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            block_pieces(optimizer, node, i, &row, piece_norms);
        }
    }
}

void optimizer_update(struct optimizer *optimizer, struct node_state *node,
                      struct partition_range range)
{
    int64_t row = 0;
    for (int64_t i = range.first; i < range.first + range.count; i += PARAMETER_BLOCK) {
        block_pieces(optimizer, node, i, &row,
                     optimizer_adapts(optimizer) ? piece_lamb : piece_adamw);
    }
}
