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
        .direction = memory_take(PARAMETER_BLOCK, sizeof(float), "direction block"),
        .state = memory_take(3 * (size_t)PARAMETER_BLOCK, sizeof(float), "blocks of new values"),
    };
}

void optimizer_deinit(struct optimizer *optimizer)
{
    memory_release(optimizer->direction);
    memory_release(optimizer->state);
    *optimizer = (struct optimizer){0};
}

void optimizer_norms(struct optimizer *optimizer, struct node_state *node)
{
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            if (!node_state_piece(node, group, i)->finished) {
                (void)piece_sums_finish_block(optimizer->kernels, node, i / PARAMETER_BLOCK, true,
                                              NULL, 0);
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
    };
}

/* A tensor's part in one block. */
struct piece {
    const struct parameter *tensor;
    int64_t row;   /* the tensor's, in the table */
    int64_t first; /* element of the flat space */
    int64_t count;
};

/* Whoever is called for a piece; `to` is where its first element's new values go, if any do. */
typedef void piece_function(struct optimizer *optimizer, const struct node_state *node,
                            const struct piece *piece, const struct kernels_state *to);

static struct kernels_state state_from(const struct kernels_state *state, int64_t first)
{
    return (struct kernels_state){state->weights + first, state->first + first,
                                  state->second + first};
}

static struct kernels_state piece_state(const struct node_state *node, const struct piece *piece)
{
    const struct kernels_state all = {node->weights, node->first, node->second};
    return state_from(&all, piece->first);
}

/* What no tensor holds is zero, always. */
static void state_clear(const struct kernels_state *state, int64_t from, int64_t to)
{
    if (from < to) {
        const size_t bytes = (size_t)(to - from) * sizeof(float);
        memset(state->weights + from, 0, bytes);
        memset(state->first + from, 0, bytes);
        memset(state->second + from, 0, bytes);
    }
}

/* One block, whose new values go to `to`: cut where tensors begin and end, since weight decay and
 * LAMB depend on the tensor. `row` walks the table. */
static void block_pieces(struct optimizer *optimizer, const struct node_state *node, int64_t first,
                         int64_t *row, piece_function *call, const struct kernels_state *to)
{
    const struct parameter_table *const table = optimizer->partition->table;
    while (*row < table->row_count && table->rows[*row].offset + table->rows[*row].count <= first) {
        (*row)++;
    }
    const int64_t end = first + PARAMETER_BLOCK;
    int64_t covered = 0; /* elements of `to` */
    for (int64_t r = *row; r < table->row_count && table->rows[r].offset < end; r++) {
        const struct parameter *const tensor = &table->rows[r];
        const int64_t from = tensor->offset > first ? tensor->offset : first;
        const int64_t tensor_end = tensor->offset + tensor->count;
        const int64_t tensor_to = tensor_end < end ? tensor_end : end;
        const struct piece piece = {tensor, r, from, tensor_to - from};
        const struct kernels_state piece_to = state_from(to, from - first);
        optimizer->settings.weight_decay = tensor->decays ? optimizer->options->weight_decay : 0.0;
        state_clear(to, covered, from - first);
        call(optimizer, node, &piece, &piece_to);
        covered = tensor_to - first;
    }
    state_clear(to, covered, PARAMETER_BLOCK);
}

static const float *piece_gradient(const struct node_state *node, const struct piece *piece)
{
    return node_state_gradient(node, piece->first / PARAMETER_BLOCK) +
           piece->first % PARAMETER_BLOCK;
}

static void piece_adamw(struct optimizer *optimizer, const struct node_state *node,
                        const struct piece *piece, const struct kernels_state *to)
{
    const struct kernels_state from = piece_state(node, piece);
    optimizer->kernels->adamw(to, &from, piece_gradient(node, piece), &optimizer->settings,
                              piece->count);
}

/* New moments into `to`, and optimizer->direction from them and the node's weights. */
static void piece_direction(struct optimizer *optimizer, const struct node_state *node,
                            const struct piece *piece, const struct kernels_state *to)
{
    const size_t bytes = (size_t)piece->count * sizeof(float);
    memcpy(to->first, node->first + piece->first, bytes);
    memcpy(to->second, node->second + piece->first, bytes);
    optimizer->kernels->lamb_moments(to->first, to->second, piece_gradient(node, piece),
                                     &optimizer->settings, piece->count);
    optimizer->kernels->lamb_direction(optimizer->direction, node->weights + piece->first,
                                       to->first, to->second, &optimizer->settings, piece->count);
}

static double *piece_place(const struct node_state *node, int64_t block, int64_t row)
{
    return node->piece_norms + 2 * (block + row);
}

static void piece_norms(struct optimizer *optimizer, const struct node_state *node,
                        const struct piece *piece, const struct kernels_state *to)
{
    double *const norms = piece_place(node, piece->first / PARAMETER_BLOCK, piece->row);
    piece_direction(optimizer, node, piece, to);
    norms[0] = optimizer->kernels->square_sum(node->weights + piece->first, piece->count);
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

static void piece_lamb(struct optimizer *optimizer, const struct node_state *node,
                       const struct piece *piece, const struct kernels_state *to)
{
    if (optimizer->trust_row != piece->row) {
        optimizer->trust_row = piece->row;
        optimizer->trust = trust_ratio(node, piece->tensor, piece->row);
    }
    piece_direction(optimizer, node, piece, to);
    memcpy(to->weights, node->weights + piece->first, (size_t)piece->count * sizeof(float));
    optimizer->kernels->lamb_apply(to->weights, optimizer->direction,
                                   optimizer->settings.rate * optimizer->trust, piece->count);
}

bool optimizer_adapts(const struct optimizer *optimizer)
{
    return optimizer->options->name == OPTIMIZER_NAME_LAMB;
}

void optimizer_piece_norms(struct optimizer *optimizer, struct node_state *node)
{
    /* the node's change in the update only */
    const struct kernels_state nowhere = {optimizer->state, optimizer->state + PARAMETER_BLOCK,
                                          optimizer->state + 2 * PARAMETER_BLOCK};
    int64_t row = 0;
    for (int64_t group = 0; group < optimizer->partition->table->group_count; group++) {
        const struct partition_range owned = optimizer->partition->owned[group];
        for (int64_t i = owned.first; i < owned.first + owned.count; i += PARAMETER_BLOCK) {
            block_pieces(optimizer, node, i, &row, piece_norms, &nowhere);
        }
    }
}

void optimizer_update(struct optimizer *optimizer, const struct node_state *node,
                      struct partition_range range, const struct kernels_state *to)
{
    int64_t row = 0;
    for (int64_t i = 0; i < range.count; i += PARAMETER_BLOCK) {
        const struct kernels_state block_to = state_from(to, i);
        block_pieces(optimizer, node, range.first + i, &row,
                     optimizer_adapts(optimizer) ? piece_lamb : piece_adamw, &block_to);
    }
}
