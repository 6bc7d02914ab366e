/* See parts_linear.h. */
#include "model/parts_linear.h"

#include <string.h>

/* Rows and columns of W; where its columns of outputs or inputs begin in the local array, and it in
 * the local gradient of W, (local_out, local_in). */
struct block {
    int64_t out_first, out_count;
    int64_t in_first, in_count;
    int64_t column;
    int64_t local_out, local_in;
    int64_t local_out_first, local_in_first;
};

static int64_t segments_meant(const struct parts_weight *weight)
{
    return weight->segment_count == 0 ? weight->segments : weight->segment_count;
}

/* Nothing is cut: segments are one matrix, and one product. */
static int64_t products_of(const struct pass *pass, const struct parts_weight *weight)
{
    return pass->parts->count == 1 ? 1 : segments_meant(weight);
}

/* Columns of a row of all local outputs. */
static int64_t out_width(const struct pass *pass, const struct parts_weight *weight)
{
    return weight->segments * parts_local(pass->parts, weight->out / weight->segments).count;
}

static struct block out_block(const struct pass *pass, const struct parts_weight *weight,
                              int64_t product, int64_t part)
{
    const int64_t height = weight->out / weight->segments;
    const struct parts_range local = parts_local(pass->parts, height);
    const struct parts_range range = parts_range(pass->parts, height, part);
    const int64_t segment = weight->first_segment + product;
    const int64_t column = segment * local.count + range.first - local.first;
    return (struct block){.out_first = segment * height + range.first,
                          .out_count =
                              range.count * (segments_meant(weight) / products_of(pass, weight)),
                          .in_count = weight->in,
                          .column = column,
                          .local_out = out_width(pass, weight),
                          .local_in = weight->in,
                          .local_out_first = column};
}

static struct block in_block(const struct pass *pass, const struct parts_weight *weight,
                             int64_t part)
{
    const struct parts_range local = parts_local(pass->parts, weight->in);
    const struct parts_range range = parts_range(pass->parts, weight->in, part);
    const int64_t column = range.first - local.first;
    return (struct block){.out_count = weight->out,
                          .in_first = range.first,
                          .in_count = range.count,
                          .column = column,
                          .local_out = weight->out,
                          .local_in = local.count,
                          .local_in_first = column};
}

/* Of rows, those columns that begin with `column`. */
static struct kernels_matrix columns_from(struct kernels_matrix rows, int64_t column)
{
    if (rows.rounded) {
        rows.values = (const uint16_t *)rows.values + column;
    } else {
        rows.values = (const float *)rows.values + column;
    }
    return rows;
}

static struct kernels_matrix rows_transposed(struct kernels_matrix rows)
{
    rows.transposed = true;
    return rows;
}

/* A matrix as it is stored. */
struct stored {
    bool input_major;
    int64_t ld;
    int64_t offset; /* of the block */
};

static struct stored stored_make(bool input_major, int64_t out, int64_t in, int64_t out_first,
                                 int64_t in_first)
{
    const int64_t ld = input_major ? out : in;
    return (struct stored){.input_major = input_major,
                           .ld = ld,
                           .offset =
                               input_major ? in_first * ld + out_first : out_first * ld + in_first};
}

static struct stored stored_at(const struct pass *pass, const struct parts_weight *weight,
                               const struct block *block)
{
    const bool input_major = parameter_of(pass->table, weight->group, weight->role)->input_major;
    return stored_make(input_major, weight->out, weight->in, block->out_first, block->in_first);
}

/* W or Wᵀ of a block. */
static struct kernels_matrix block_weight(const struct pass *pass,
                                          const struct parts_weight *weight,
                                          const struct block *block, bool transposed)
{
    const struct stored at = stored_at(pass, weight, block);
    return (struct kernels_matrix){.values =
                                       pass_weight(pass, weight->group, weight->role) + at.offset,
                                   .ld = at.ld,
                                   .transposed = transposed != at.input_major};
}

/* y = x·Wᵀ of a block. */
static void block_forward(const struct pass *pass, float *y, int64_t y_ld, struct kernels_matrix x,
                          const struct parts_weight *weight, const struct block *block, int64_t n)
{
    pass->kernels->matmul(n, block->out_count, block->in_count, 1.0F, x,
                          block_weight(pass, weight, block, true), 0.0F, y, y_ld);
}

/* d_x = d_y·W of a block, + d_x if `add`. */
static void block_backward(const struct pass *pass, float *d_x, int64_t x_ld, bool add,
                           struct kernels_matrix d_y, const struct parts_weight *weight,
                           const struct block *block, int64_t n)
{
    pass->kernels->matmul(n, block->in_count, block->out_count, 1.0F, d_y,
                          block_weight(pass, weight, block, false), add ? 1.0F : 0.0F, d_x, x_ld);
}

/* dW = d_yᵀ·x of a block, written or added. */
static void block_gradient(const struct pass *pass, const struct group_gradient *gradient,
                           struct kernels_matrix d_y, struct kernels_matrix x,
                           const struct parts_weight *weight, const struct block *block, int64_t n)
{
    const bool input_major = parameter_of(pass->table, weight->group, weight->role)->input_major;
    const struct stored at = stored_make(input_major, block->local_out, block->local_in,
                                         block->local_out_first, block->local_in_first);
    float *const d_weight = pass_gradient(pass, gradient, weight->role) + at.offset;
    const float beta = gradient->adds ? 1.0F : 0.0F;
    if (at.input_major) {
        pass->kernels->matmul(block->in_count, block->out_count, n, 1.0F, rows_transposed(x), d_y,
                              beta, d_weight, at.ld);
    } else {
        pass->kernels->matmul(block->out_count, block->in_count, n, 1.0F, rows_transposed(d_y), x,
                              beta, d_weight, at.ld);
    }
}

/* A sum over parts: of x·Wᵀ (W cut along its inputs) or d_y·W (along its outputs). */
struct sum {
    const struct parts_weight *weight;
    struct kernels_matrix in;
    int64_t n;
    int64_t width; /* of the result */
    bool backward;
};

static void partial_compute(const struct pass *pass, const struct sum *sum, float *out, bool add,
                            int64_t part)
{
    const struct parts_weight *const weight = sum->weight;
    if (!sum->backward) {
        const struct block block = in_block(pass, weight, part);
        block_forward(pass, out, sum->width, columns_from(sum->in, block.column), weight, &block,
                      sum->n);
        return;
    }
    for (int64_t product = 0; product < products_of(pass, weight); product++) {
        const struct block block = out_block(pass, weight, product, part);
        block_backward(pass, out, sum->width, add || product > 0,
                       columns_from(sum->in, block.column), weight, &block, sum->n);
    }
}

static void values_add(const struct pass *pass, float *sum, const float *values, int64_t count)
{
    pass->kernels->residual_norm_forward(sum, NULL, NULL, NULL, sum, values, NULL, NULL, 1.0F, NULL,
                                         NULL, 0.0F, 1, count);
}

/* out = the sum over `count` parts from `first`, with the partial sums' memory from `level` on. */
static void subtree_sum(const struct pass *pass, const struct sum *sum, float *out, int64_t first,
                        int64_t count, int64_t level)
{
    if (count == 1) {
        partial_compute(pass, sum, out, false, first);
        return;
    }
    float *const second = pass->parts->partials + level * pass->parts->partial_elements;
    subtree_sum(pass, sum, out, first, count / 2, level + 1);
    subtree_sum(pass, sum, second, first + count / 2, count / 2, level + 1);
    values_add(pass, out, second, sum->n * sum->width);
}

static void parts_sum(const struct pass *pass, const struct sum *sum, float *out, bool add)
{
    const struct parts *const parts = pass->parts;
    const int64_t count = sum->n * sum->width;
    if (parts->count == 1) {
        partial_compute(pass, sum, out, add, 0);
        return;
    }
    INVARIANT(count <= parts->partial_elements);
    float *const whole = add ? parts->partials : out;
    subtree_sum(pass, sum, whole, parts_first(parts), parts_end(parts) - parts_first(parts), 1);
    if (parts->exchange != NULL) {
        parts->exchange->sum(parts->exchange->context, whole, count);
    }
    if (add) {
        values_add(pass, out, whole, count);
    }
}

void parts_out_forward(const struct pass *pass, float *y, const float *x,
                       const struct parts_weight *weight, int64_t n)
{
    for (int64_t part = parts_first(pass->parts); part < parts_end(pass->parts); part++) {
        for (int64_t product = 0; product < products_of(pass, weight); product++) {
            const struct block block = out_block(pass, weight, product, part);
            block_forward(pass, y + block.column, out_width(pass, weight), matrix_of(x, weight->in),
                          weight, &block, n);
        }
    }
}

void parts_out_backward(const struct pass *pass, float *d_x, bool add, struct kernels_matrix d_y,
                        const struct parts_weight *weight, int64_t n)
{
    const struct sum sum = {
        .weight = weight, .in = d_y, .n = n, .width = weight->in, .backward = true};
    parts_sum(pass, &sum, d_x, add);
}

void parts_out_gradient(const struct pass *pass, const struct group_gradient *gradient,
                        struct kernels_matrix d_y, const float *x,
                        const struct parts_weight *weight, int64_t n)
{
    for (int64_t part = parts_first(pass->parts); part < parts_end(pass->parts); part++) {
        for (int64_t product = 0; product < products_of(pass, weight); product++) {
            const struct block block = out_block(pass, weight, product, part);
            block_gradient(pass, gradient, columns_from(d_y, block.column),
                           matrix_of(x, weight->in), weight, &block, n);
        }
    }
}

void parts_in_forward(const struct pass *pass, float *y, struct kernels_matrix x,
                      const struct parts_weight *weight, int64_t n)
{
    const struct sum sum = {.weight = weight, .in = x, .n = n, .width = weight->out};
    parts_sum(pass, &sum, y, false);
}

void parts_in_backward(const struct pass *pass, float *d_x, const float *d_y,
                       const struct parts_weight *weight, int64_t n)
{
    const int64_t local = parts_local(pass->parts, weight->in).count;
    for (int64_t part = parts_first(pass->parts); part < parts_end(pass->parts); part++) {
        const struct block block = in_block(pass, weight, part);
        block_backward(pass, d_x + block.column, local, false, matrix_of(d_y, weight->out), weight,
                       &block, n);
    }
}

void parts_in_gradient(const struct pass *pass, const struct group_gradient *gradient,
                       const float *d_y, struct kernels_matrix x, const struct parts_weight *weight,
                       int64_t n)
{
    for (int64_t part = parts_first(pass->parts); part < parts_end(pass->parts); part++) {
        const struct block block = in_block(pass, weight, part);
        block_gradient(pass, gradient, matrix_of(d_y, weight->out), columns_from(x, block.column),
                       weight, &block, n);
    }
}

/* Where the local part of a bias's segment begins among all its values. */
static int64_t bias_first(const struct pass *pass, const struct parts_weight *bias, int64_t segment)
{
    const int64_t height = bias->out / bias->segments;
    return segment * height + parts_local(pass->parts, height).first;
}

/* One run of values, as of a single segment or where all parts are local. */
static bool bias_is_whole(const struct pass *pass, const struct parts_weight *bias)
{
    return bias->segments == 1 || pass->parts->member_count == 1;
}

void parts_bias_forward(const struct pass *pass, float *y, const struct parts_weight *bias,
                        int64_t n)
{
    const float *const values = pass_weight(pass, bias->group, bias->role);
    const int64_t width = out_width(pass, bias);
    if (bias_is_whole(pass, bias)) {
        pass->kernels->bias_forward(y, values + bias_first(pass, bias, 0), n, width);
        return;
    }
    const int64_t count = width / bias->segments;
    for (int64_t i = 0; i < bias->segments; i++) {
        memcpy(pass->parts->vector + i * count, values + bias_first(pass, bias, i),
               (size_t)count * sizeof *values);
    }
    pass->kernels->bias_forward(y, pass->parts->vector, n, width);
}

void parts_bias_gradient(const struct pass *pass, const struct group_gradient *gradient,
                         const float *d_y, const struct parts_weight *bias, int64_t n)
{
    pass->kernels->bias_backward(pass_gradient(pass, gradient, bias->role), d_y, n,
                                 out_width(pass, bias));
}
