/* XLNet's attention, one query row at a time, all sums in double. With i's key distance x = place -
 * j (negated where the sequence is reversed), s = 0 where query and key are of one segment, else 1:
 *     score_j = scale · ((q + content)·k_j + (q + position)·r_x + (q + segment)·e_s),
 *     p_j = softmax_j(score),  out = Σ_j m_j p_j v_j,  m_j dropout's factor (0 or its scale),
 *     d score_j = scale p_j (m_j d_out·v_j - δ), δ = Σ_j p_j m_j d_out·v_j. */
#include <math.h>

#include "kernels/operations.h"
#include "kernels/reference/reference_dropout.h"

/* One query row of one head and what belongs to it. */
struct query {
    const struct kernels_relative_shape *shape;
    const struct kernels_relative_inputs *inputs;
    int64_t c;
    int64_t sequence;
    int64_t head;
    int64_t row;   /* of the query */
    int64_t first; /* row of its sequence's first key */
    int64_t keys;
    int64_t longest; /* keys of a sequence, rounded up */
};

static void query_each(const struct kernels_relative_shape *shape,
                       const struct kernels_relative_inputs *inputs,
                       void (*visit)(const struct query *query, void *context), void *context)
{
    struct query query = {.shape = shape, .inputs = inputs};
    query.c = shape->heads * shape->head_width;
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t keys = shape->key_starts[b + 1] - shape->key_starts[b];
        query.longest = keys > query.longest ? keys : query.longest;
    }
    query.longest = (query.longest + 7) / 8 * 8;
    for (query.sequence = 0; query.sequence < shape->sequence_count; query.sequence++) {
        const int64_t b = query.sequence;
        query.first = shape->key_starts[b];
        query.keys = shape->key_starts[b + 1] - query.first;
        for (query.row = shape->query_starts[b]; query.row < shape->query_starts[b + 1];
             query.row++) {
            for (query.head = 0; query.head < shape->heads; query.head++) {
                visit(&query, context);
            }
        }
    }
}

static bool query_sees(const struct query *query, int64_t j)
{
    const struct kernels_relative_shape *const shape = query->shape;
    return shape->key_orders[query->first + j] < shape->query_orders[query->row] ||
           (shape->sees_itself && shape->places[query->row] == j);
}

/* Where a row's part for the query's head begins. */
static int64_t head_at(const struct query *query, int64_t row)
{
    return row * query->c + query->head * query->shape->head_width;
}

static int64_t relative_row(const struct query *query, int64_t j)
{
    const struct kernels_relative_shape *const shape = query->shape;
    const int64_t distance = shape->places[query->row] - j;
    const bool reversed = shape->reversed != NULL && shape->reversed[query->sequence] != 0;
    return shape->zero_row - (reversed ? -distance : distance);
}

/* Row of the segment embedding; -1: there is none. */
static int64_t segment_row(const struct query *query, int64_t j)
{
    const struct kernels_relative_shape *const shape = query->shape;
    if (shape->key_segments == NULL) {
        return -1;
    }
    return shape->key_segments[query->first + j] == shape->query_segments[query->row] ? 0 : 1;
}

/* (q + bias)·row of this head. */
static double biased_dot(const struct query *query, const float *bias, const float *row)
{
    const float *const q = query->inputs->q + head_at(query, query->row);
    const float *const head_bias = bias + head_at(query, 0);
    double sum = 0;
    for (int64_t d = 0; d < query->shape->head_width; d++) {
        sum += ((double)q[d] + (double)head_bias[d]) * (double)row[d];
    }
    return sum;
}

static double score(const struct query *query, int64_t j)
{
    const struct kernels_relative_inputs *const in = query->inputs;
    const int64_t segment = segment_row(query, j);
    double sum =
        biased_dot(query, in->content_bias, in->k + head_at(query, query->first + j)) +
        biased_dot(query, in->position_bias, in->r + head_at(query, relative_row(query, j)));
    if (segment >= 0) {
        sum += biased_dot(query, in->segment_bias, in->segment_embedding + head_at(query, segment));
    }
    return (double)query->shape->scale * sum;
}

static double dropout_factor(const struct query *query, int64_t j)
{
    const struct kernels_dropout *const dropout = &query->shape->dropout;
    const int64_t rows = query->shape->query_starts[query->shape->sequence_count];
    const int64_t element = (query->head * rows + query->row) * query->longest + j;
    if (dropout->threshold == 0) {
        return 1.0;
    }
    return dropout_keeps(dropout, element) ? (double)dropout->scale : 0.0;
}

static double probability(const struct query *query, int64_t j, double log_sum)
{
    return query_sees(query, j) ? exp(score(query, j) - log_sum) : 0.0;
}

struct forward {
    float *out;
    float *log_sum;
};

static void query_forward(const struct query *query, void *context)
{
    const struct forward *const forward = context;
    const int64_t rows = query->shape->query_starts[query->shape->sequence_count];
    double most = -(double)INFINITY;
    for (int64_t j = 0; j < query->keys; j++) {
        most = query_sees(query, j) ? fmax(most, score(query, j)) : most;
    }
    double sum = 0;
    for (int64_t j = 0; j < query->keys; j++) {
        sum += probability(query, j, most);
    }
    const double log_sum = sum == 0.0 ? (double)INFINITY : most + log(sum);
    forward->log_sum[query->head * rows + query->row] = (float)log_sum;
    for (int64_t d = 0; d < query->shape->head_width; d++) {
        double value = 0;
        for (int64_t j = 0; j < query->keys; j++) {
            const float *const v = query->inputs->v + head_at(query, query->first + j);
            value += dropout_factor(query, j) * probability(query, j, log_sum) * (double)v[d];
        }
        forward->out[head_at(query, query->row) + d] = (float)value;
    }
}

void relative_forward_reference(float *out, float *log_sum,
                                const struct kernels_relative_inputs *inputs,
                                const struct kernels_relative_shape *shape, float *scratch)
{
    (void)scratch;
    query_each(shape, inputs, query_forward, &(struct forward){out, log_sum});
}

struct backward {
    const struct kernels_relative_gradients *gradients;
    const float *d_out;
    const float *log_sum;
};

/* What a score's slope does to one of its three terms (q + bias)·row: d_q, d_bias += slope · row,
 * d_row += slope · (q + bias). */
static void term_backward(const struct query *query, double slope, float *d_q, float *d_bias,
                          float *d_row, const float *bias, const float *row)
{
    const float *const q = query->inputs->q + head_at(query, query->row);
    for (int64_t d = 0; d < query->shape->head_width; d++) {
        d_q[d] += (float)(slope * (double)row[d]);
        d_bias[d] += (float)(slope * (double)row[d]);
        d_row[d] += (float)(slope * ((double)q[d] + (double)bias[d]));
    }
}

/* d_out·v_j. */
static double value_dot(const struct query *query, const float *d_out, int64_t j)
{
    const float *const v = query->inputs->v + head_at(query, query->first + j);
    double sum = 0;
    for (int64_t d = 0; d < query->shape->head_width; d++) {
        sum += (double)d_out[d] * (double)v[d];
    }
    return sum;
}

static void key_backward(const struct query *query, const struct backward *backward, int64_t j,
                         double p, double delta)
{
    const struct kernels_relative_inputs *const in = query->inputs;
    const struct kernels_relative_gradients *const to = backward->gradients;
    const float *const d_out = backward->d_out + head_at(query, query->row);
    const int64_t head = head_at(query, 0);
    const int64_t key = head_at(query, query->first + j);
    const int64_t relative = head_at(query, relative_row(query, j));
    const double factor = dropout_factor(query, j);
    const double slope =
        (double)query->shape->scale * p * (factor * value_dot(query, d_out, j) - delta);
    float *const d_q = to->q + head_at(query, query->row);
    for (int64_t d = 0; d < query->shape->head_width; d++) {
        to->v[key + d] += (float)(factor * p * (double)d_out[d]);
    }
    term_backward(query, slope, d_q, to->content_bias + head, to->k + key, in->content_bias + head,
                  in->k + key);
    term_backward(query, slope, d_q, to->position_bias + head, to->r + relative,
                  in->position_bias + head, in->r + relative);
    if (segment_row(query, j) >= 0) {
        const int64_t segment = head_at(query, segment_row(query, j));
        term_backward(query, slope, d_q, to->segment_bias + head, to->segment_embedding + segment,
                      in->segment_bias + head, in->segment_embedding + segment);
    }
}

static void query_backward(const struct query *query, void *context)
{
    const struct backward *const backward = context;
    const int64_t rows = query->shape->query_starts[query->shape->sequence_count];
    const float *const d_out = backward->d_out + head_at(query, query->row);
    const double log_sum = (double)backward->log_sum[query->head * rows + query->row];
    double delta = 0;
    for (int64_t j = 0; j < query->keys; j++) {
        delta +=
            dropout_factor(query, j) * probability(query, j, log_sum) * value_dot(query, d_out, j);
    }
    for (int64_t j = 0; j < query->keys; j++) {
        if (query_sees(query, j)) {
            key_backward(query, backward, j, probability(query, j, log_sum), delta);
        }
    }
}

void relative_backward_reference(const struct kernels_relative_gradients *gradients,
                                 const float *d_out, const float *log_sum,
                                 const struct kernels_relative_inputs *inputs,
                                 const struct kernels_relative_shape *shape, float *scratch)
{
    (void)scratch;
    const int64_t rows = shape->query_starts[shape->sequence_count];
    for (int64_t i = 0; i < rows * shape->heads * shape->head_width; i++) {
        gradients->q[i] = 0;
    }
    query_each(shape, inputs, query_backward, &(struct backward){gradients, d_out, log_sum});
}

int64_t relative_scratch_reference(int64_t longest_keys, int64_t head_width)
{
    (void)longest_keys;
    (void)head_width;
    return 1;
}
