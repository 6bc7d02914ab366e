/* Packed multi-head attention, one query row at a time, all sums in double:
 *     p_j = softmax_j(scale · q·k_j),  out = Σ_j m_j p_j v_j,  m_j dropout's factor (0 or its
 * scale) d p_j = m_j d_out·v_j,  d s_j = p_j (d p_j - δ), δ = d_out·out, d q = scale Σ_j d s_j k_j,
 * d k_j += scale d s_j q,  d v_j += m_j p_j d_out. */
#include <math.h>

#include "kernels/operations.h"
#include "kernels/reference/reference_dropout.h"

/* One query row of one head and what belongs to it. */
struct query {
    const struct kernels_attention_shape *shape;
    const float *qkv;
    int64_t n; /* rows in all */
    int64_t c;
    int64_t head;
    int64_t row;     /* that asks */
    int64_t place;   /* the query's number: its row in what belongs to queries */
    int64_t first;   /* row of its sequence's first key */
    int64_t keys;    /* that it sees */
    int64_t longest; /* rounded up */
};

static int64_t longest_rounded(const struct kernels_attention_shape *shape)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t length = shape->starts[b + 1] - shape->starts[b];
        longest = length > longest ? length : longest;
    }
    return (longest + 7) / 8 * 8;
}

/* Calls `visit` for every query row of every head. */
static void query_each(const struct kernels_attention_shape *shape, const float *qkv,
                       void (*visit)(const struct query *query, void *context), void *context)
{
    struct query query = {.shape = shape, .qkv = qkv};
    query.n = shape->starts[shape->sequence_count];
    query.c = shape->heads * shape->head_width;
    query.longest = longest_rounded(shape);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        query.first = shape->starts[b];
        for (query.row = query.first; query.row < shape->starts[b + 1]; query.row++) {
            const int64_t end =
                shape->kind == KERNELS_ATTENTION_CAUSAL ? query.row + 1 : shape->starts[b + 1];
            query.keys = end - query.first;
            if (shape->queries != NULL && (query.place == shape->query_count ||
                                           shape->queries[query.place] != query.row)) {
                continue;
            }
            for (query.head = 0; query.head < shape->heads; query.head++) {
                visit(&query, context);
            }
            query.place++;
        }
    }
}

/* Where part (0 query, 1 key, 2 value) of `row` begins for this query's head. */
static int64_t part_at(const struct query *query, int64_t row, int64_t part)
{
    return row * 3 * query->c + part * query->c + query->head * query->shape->head_width;
}

static double dot(const float *a, const float *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static double score(const struct query *query, int64_t j)
{
    return (double)query->shape->scale * dot(query->qkv + part_at(query, query->place, 0),
                                             query->qkv + part_at(query, query->first + j, 1),
                                             query->shape->head_width);
}

static bool query_sees(const struct query *query, int64_t j)
{
    if (query->shape->kind != KERNELS_ATTENTION_VISIBLE) {
        return true;
    }
    const struct kernels_visibility *const visibility = query->shape->visibility;
    const int32_t *const list = visibility->lists + 2 * query->row;
    for (int64_t i = list[0]; i < list[1]; i++) {
        if (j >= visibility->intervals[2 * i] && j < visibility->intervals[2 * i + 1]) {
            return true;
        }
    }
    return false;
}

static double dropout_factor(const struct query *query, int64_t j)
{
    const struct kernels_dropout *const dropout = &query->shape->dropout;
    const int64_t head = query->shape->first_head + query->head;
    const int64_t element = (head * query->n + query->row) * query->longest + j;
    if (dropout->threshold == 0) {
        return 1.0;
    }
    return dropout_keeps(dropout, element) ? (double)dropout->scale : 0.0;
}

struct forward {
    float *out;
    float *log_sum;
};

static void query_forward(const struct query *query, void *context)
{
    const struct forward *const forward = context;
    const int64_t width = query->shape->head_width;
    double most = -(double)INFINITY;
    for (int64_t j = 0; j < query->keys; j++) {
        most = query_sees(query, j) ? fmax(most, score(query, j)) : most;
    }
    double sum = 0;
    for (int64_t j = 0; j < query->keys; j++) {
        sum += query_sees(query, j) ? exp(score(query, j) - most) : 0.0;
    }
    const double log_sum = sum == 0.0 ? (double)INFINITY : most + log(sum);
    forward->log_sum[query->head * query->n + query->place] = (float)log_sum;
    for (int64_t d = 0; d < width; d++) {
        double value = 0;
        for (int64_t j = 0; j < query->keys; j++) {
            const float *const v = query->qkv + part_at(query, query->first + j, 2);
            const double p = query_sees(query, j) ? exp(score(query, j) - log_sum) : 0.0;
            value += dropout_factor(query, j) * p * (double)v[d];
        }
        forward->out[query->place * query->c + query->head * width + d] = (float)value;
    }
}

void attention_forward_reference(float *out, float *log_sum, const float *qkv,
                                 const struct kernels_attention_shape *shape, float *scratch)
{
    (void)scratch;
    query_each(shape, qkv, query_forward, &(struct forward){out, log_sum});
}

struct backward {
    float *d_qkv;
    const float *d_out;
    const float *out;
    const float *log_sum;
};

static void query_backward(const struct query *query, void *context)
{
    const struct backward *const backward = context;
    const int64_t width = query->shape->head_width;
    const int64_t place = query->place * query->c + query->head * width;
    const float *const d_out = backward->d_out + place;
    const double delta = dot(d_out, backward->out + place, width);
    const double log_sum = (double)backward->log_sum[query->head * query->n + query->place];
    const double scale = (double)query->shape->scale;
    const float *const q = query->qkv + part_at(query, query->place, 0);
    float *const d_q = backward->d_qkv + part_at(query, query->place, 0);
    for (int64_t j = 0; j < query->keys; j++) {
        const float *const k = query->qkv + part_at(query, query->first + j, 1);
        const float *const v = query->qkv + part_at(query, query->first + j, 2);
        float *const d_k = backward->d_qkv + part_at(query, query->first + j, 1);
        float *const d_v = backward->d_qkv + part_at(query, query->first + j, 2);
        const double p = query_sees(query, j) ? exp(score(query, j) - log_sum) : 0.0;
        const double factor = dropout_factor(query, j);
        const double d_score = scale * p * (factor * dot(d_out, v, width) - delta);
        for (int64_t d = 0; d < width; d++) {
            d_q[d] += (float)(d_score * (double)k[d]);
            d_k[d] += (float)(d_score * (double)q[d]);
            d_v[d] += (float)(factor * p * (double)d_out[d]);
        }
    }
}

void attention_backward_reference(float *d_qkv, const float *d_out, const float *out,
                                  const float *log_sum, const float *qkv,
                                  const struct kernels_attention_shape *shape, float *scratch)
{
    (void)scratch;
    const int64_t n = shape->starts[shape->sequence_count];
    const int64_t c = shape->heads * shape->head_width;
    for (int64_t row = 0; row < n; row++) {
        const bool asks = shape->queries == NULL || row < shape->query_count;
        for (int64_t j = asks ? 0 : c; j < 3 * c; j++) {
            d_qkv[row * 3 * c + j] = 0;
        }
    }
    query_each(shape, qkv, query_backward, &(struct backward){d_qkv, d_out, out, log_sum});
}

int64_t attention_scratch_reference(int64_t longest_sequence, int64_t head_width)
{
    (void)longest_sequence;
    (void)head_width;
    return 1;
}
