/* XLNet's attention: for each sequence and head, blocks of query rows against all keys of the
 * sequence and against the rows of the position table that they may need, which is one run of rows
 * for a whole block. Only a block of scores exists at a time, in the scratch.
 *
 *   forward   A = Q + content bias, B = Q + position bias, S = scale · A K' + shift(scale · B R')
 *             + segment term, P = exp(S - max), out = (kept P) V · (dropout scale / Σ P)
 *   backward  dS as in cpu_attention.c, dT = shift back(dS), dA = scale · dS K, dB = scale · dT R,
 *             dK += scale · dS' A, dR += scale · dT' B, dV += (kept P · dropout scale)' dO
 *
 * shift: query i at place p takes for key j the entry of distance p - j in its row of B R', so a
 * row moves as one piece (backwards where the sequence is reversed). */
#include "kernels/cpu/cpu_attention_row.h"

enum { BLOCK_ROWS = 128 };

/* One block of query rows of one head of one sequence. */
struct block {
    const struct kernels_relative_shape *shape;
    const struct kernels_relative_inputs *inputs;
    const struct kernels_dropout *dropout; /* NULL: none */
    int64_t c;
    int64_t width; /* D */
    int64_t head;
    int64_t first; /* row of the block's first query */
    int64_t rows;
    int64_t first_key; /* row of the sequence's first key */
    int64_t keys;
    int64_t longest; /* keys of a sequence, rounded up to 8: the stride of dropout elements */
    bool reversed;
    int64_t low_row; /* of the position table, and how many from there on */
    int64_t range;
    int64_t stride;       /* between rows of scores in the scratch */
    int64_t range_stride; /* between rows of `shifted` */
    int64_t kept_stride;
    float *scores;
    float *slopes;
    float *shifted;  /* (rows, range) products with the position table, or slopes of them */
    float *content;  /* (rows, D) A, later dB */
    float *position; /* (rows, D) B */
    float *segment;  /* (D) q + segment bias of one query */
    uint8_t *kept;   /* (rows, kept_stride) bits */
};

/* Floats of the parts of the scratch. */
static int64_t shifted_floats(int64_t longest_keys)
{
    return BLOCK_ROWS * rounded_up(2 * longest_keys, KERNELS_LANES);
}

int64_t OPERATION(relative_scratch)(int64_t longest_keys, int64_t head_width)
{
    const int64_t kept_bytes = BLOCK_ROWS * rounded_up(longest_keys, 8) / 8 + DROPOUT_LANES;
    return 2 * scores_floats(BLOCK_ROWS, longest_keys) + shifted_floats(longest_keys) +
           (2 * BLOCK_ROWS + 1) * head_width + kept_bytes / 4 + 1;
}

static struct block block_make(const struct kernels_relative_shape *shape,
                               const struct kernels_relative_inputs *inputs, float *scratch)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t keys = shape->key_starts[b + 1] - shape->key_starts[b];
        longest = keys > longest ? keys : longest;
    }
    struct block block = {.shape = shape,
                          .inputs = inputs,
                          .dropout = shape->dropout.threshold == 0 ? NULL : &shape->dropout,
                          .c = shape->heads * shape->head_width,
                          .width = shape->head_width,
                          .longest = rounded_up(longest, 8)};
    block.scores = scratch;
    block.slopes = block.scores + scores_floats(BLOCK_ROWS, longest);
    block.shifted = block.slopes + scores_floats(BLOCK_ROWS, longest);
    block.content = block.shifted + shifted_floats(longest);
    block.position = block.content + BLOCK_ROWS * block.width;
    block.segment = block.position + BLOCK_ROWS * block.width;
    block.kept = (uint8_t *)(block.segment + block.width);
    return block;
}

/* Places the block at query row `first` of sequence b. */
static void block_place(struct block *block, int64_t b, int64_t first)
{
    const struct kernels_relative_shape *const shape = block->shape;
    const int64_t left = shape->query_starts[b + 1] - first;
    block->first = first;
    block->rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;
    block->first_key = shape->key_starts[b];
    block->keys = shape->key_starts[b + 1] - block->first_key;
    block->reversed = shape->reversed != NULL && shape->reversed[b] != 0;
    int64_t least = shape->places[first];
    int64_t most = least;
    for (int64_t i = 1; i < block->rows; i++) {
        const int64_t place = shape->places[first + i];
        least = place < least ? place : least;
        most = place > most ? place : most;
    }
    block->range = most - least + block->keys;
    block->low_row =
        block->reversed ? shape->zero_row - (block->keys - 1) + least : shape->zero_row - most;
    block->stride = rounded_up(block->keys, KERNELS_LANES);
    block->range_stride = rounded_up(block->range, KERNELS_LANES);
    block->kept_stride = rounded_up(block->keys, 8) / 8;
}

/* Where a row's part for the block's head begins. */
static int64_t head_at(const struct block *block, int64_t row)
{
    return row * block->c + block->head * block->width;
}

/* Where key 0 of query `row` of the block lies in its row of `shifted`; keys follow upwards, or
 * downwards where the sequence is reversed. */
static float *shifted_at(const struct block *block, int64_t row)
{
    const int64_t place = block->shape->places[block->first + row];
    const int64_t zero = block->shape->zero_row - block->low_row;
    return block->shifted + row * block->range_stride +
           (block->reversed ? zero + place : zero - place);
}

static void row_add(float *restrict out, const float *restrict a, const float *restrict b,
                    int64_t count)
{
    SIMD
    for (int64_t j = 0; j < count; j++) {
        out[j] = a[j] + b[j];
    }
}

/* row += a. */
static void row_gain(float *restrict row, const float *restrict a, int64_t count)
{
    SIMD
    for (int64_t j = 0; j < count; j++) {
        row[j] += a[j];
    }
}

/* row += factor · a. */
static void row_gain_scaled(float *restrict row, const float *restrict a, float factor,
                            int64_t count)
{
    SIMD
    for (int64_t j = 0; j < count; j++) {
        row[j] += factor * a[j];
    }
}

static float row_dot(const float *restrict a, const float *restrict b, int64_t count)
{
    float products[KERNELS_BLOCK];
    float sum = 0;
    for (int64_t first = 0; first < count; first += KERNELS_BLOCK) {
        const int64_t part = count - first < KERNELS_BLOCK ? count - first : KERNELS_BLOCK;
        SIMD
        for (int64_t j = 0; j < part; j++) {
            products[j] = a[first + j] * b[first + j];
        }
        sum += lanes_sum(products, part);
    }
    return sum;
}

/* scores += the position terms of one query. */
static void row_shift(float *restrict scores, const float *restrict shifted, bool reversed,
                      int64_t keys)
{
    if (!reversed) {
        row_gain(scores, shifted, keys);
        return;
    }
    for (int64_t j = 0; j < keys; j++) {
        scores[j] += shifted[-j];
    }
}

/* The way back: slopes to where the position terms came from. */
static void row_shift_back(float *restrict shifted, const float *restrict slopes, bool reversed,
                           int64_t keys)
{
    for (int64_t j = 0; j < keys; j++) {
        shifted[reversed ? -j : j] = slopes[j];
    }
}

/* scores += same where the key is of the query's segment, else other. */
static void row_segments(float *restrict scores, const int32_t *restrict segments, int32_t segment,
                         float same, float other, int64_t keys)
{
    SIMD
    for (int64_t j = 0; j < keys; j++) {
        scores[j] += segments[j] == segment ? same : other;
    }
}

/* Scores of keys that are not seen become -infinity. Returns whether there is a key that is. */
static bool row_hide(const struct block *block, int64_t row)
{
    const struct kernels_relative_shape *const shape = block->shape;
    float *restrict const scores = block->scores + row * block->stride;
    const int32_t *restrict const orders = shape->key_orders + block->first_key;
    const int32_t order = shape->query_orders[block->first + row];
    const int64_t itself = shape->sees_itself ? shape->places[block->first + row] : -1;
    int64_t seen = 0;
    for (int64_t j = 0; j < block->keys; j++) {
        const bool sees = orders[j] < order || j == itself;
        scores[j] = sees ? scores[j] : -__builtin_inff();
        seen += sees ? 1 : 0;
    }
    return seen > 0;
}

/* q + segment bias of query `row`, the vector that meets the segment embedding. */
static const float *segment_query(const struct block *block, int64_t row)
{
    row_add(block->segment, block->inputs->q + head_at(block, block->first + row),
            block->inputs->segment_bias + head_at(block, 0), block->width);
    return block->segment;
}

/* All scores of the block but for what is hidden. Leaves A and B; `shifted` is free again. */
static void block_scores(const struct block *block)
{
    const struct kernels_relative_inputs *const in = block->inputs;
    const struct kernels_relative_shape *const shape = block->shape;
    for (int64_t i = 0; i < block->rows; i++) {
        const float *const q = in->q + head_at(block, block->first + i);
        float *const content = block->content + i * block->width;
        float *const position = block->position + i * block->width;
        row_add(content, q, in->content_bias + head_at(block, 0), block->width);
        row_add(position, q, in->position_bias + head_at(block, 0), block->width);
    }
    OPERATION(matmul)
    (block->rows, block->keys, block->width, shape->scale, matrix_of(block->content, block->width),
     matrix_transposed(in->k + head_at(block, block->first_key), block->c), 0.0F, block->scores,
     block->stride);
    OPERATION(matmul)
    (block->rows, block->range, block->width, shape->scale,
     matrix_of(block->position, block->width),
     matrix_transposed(in->r + head_at(block, block->low_row), block->c), 0.0F, block->shifted,
     block->range_stride);
    for (int64_t i = 0; i < block->rows; i++) {
        float *const scores = block->scores + i * block->stride;
        row_shift(scores, shifted_at(block, i), block->reversed, block->keys);
        if (shape->key_segments != NULL) {
            const float *const q = segment_query(block, i);
            const float *const same = in->segment_embedding + head_at(block, 0);
            const float *const other = in->segment_embedding + head_at(block, 1);
            row_segments(scores, shape->key_segments + block->first_key,
                         shape->query_segments[block->first + i],
                         shape->scale * row_dot(q, same, block->width),
                         shape->scale * row_dot(q, other, block->width), block->keys);
        }
    }
}

static void block_dropout(const struct block *block)
{
    const int64_t n = block->shape->query_starts[block->shape->sequence_count];
    if (block->dropout != NULL) {
        rows_kept(block->kept, block->dropout, block->head * n + block->first, block->rows,
                  block->kept_stride, block->longest);
    }
}

static void block_forward(const struct block *block, float *out, float *log_sum)
{
    const int64_t n = block->shape->query_starts[block->shape->sequence_count];
    float factors[BLOCK_ROWS];
    float *const logs = log_sum + block->head * n + block->first;
    float *const rows = out + head_at(block, block->first);
    block_scores(block);
    block_dropout(block);
    for (int64_t i = 0; i < block->rows; i++) {
        float *const row = block->scores + i * block->stride;
        const bool sees = row_hide(block, i);
        const float most = lanes_max(row, block->keys);
        const float sum =
            row_softmax(row, block->dropout != NULL ? block->kept + i * block->kept_stride : NULL,
                        sees ? most : 0.0F, block->keys);
        logs[i] = sees ? (float)((double)most + function_log((double)sum)) : __builtin_inff();
        factors[i] = sees ? 1.0F / sum : 0.0F;
        if (block->dropout != NULL) {
            factors[i] *= block->dropout->scale;
        }
    }
    OPERATION(matmul)
    (block->rows, block->width, block->keys, 1.0F, matrix_of(block->scores, block->stride),
     matrix_of(block->inputs->v + head_at(block, block->first_key), block->c), 0.0F, rows,
     block->c);
    for (int64_t i = 0; i < block->rows; i++) {
        row_scale(rows + i * block->c, factors[i], block->width);
    }
}

void OPERATION(relative_forward)(float *out, float *log_sum,
                                 const struct kernels_relative_inputs *inputs,
                                 const struct kernels_relative_shape *shape, float *scratch)
{
    struct block block = block_make(shape, inputs, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        for (block.head = 0; block.head < shape->heads; block.head++) {
            for (int64_t first = shape->query_starts[b]; first < shape->query_starts[b + 1];
                 first += BLOCK_ROWS) {
                block_place(&block, b, first);
                block_forward(&block, out, log_sum);
            }
        }
    }
}

/* Content term: d_q is written, d_k and its bias are added to. */
static void content_backward(const struct block *block, const struct kernels_relative_gradients *to)
{
    const float scale = block->shape->scale;
    float *const d_q = to->q + head_at(block, block->first);
    OPERATION(matmul)
    (block->rows, block->width, block->keys, scale, matrix_of(block->slopes, block->stride),
     matrix_of(block->inputs->k + head_at(block, block->first_key), block->c), 0.0F, d_q, block->c);
    OPERATION(matmul)
    (block->keys, block->width, block->rows, scale, matrix_transposed(block->slopes, block->stride),
     matrix_of(block->content, block->width), 1.0F, to->k + head_at(block, block->first_key),
     block->c);
    for (int64_t i = 0; i < block->rows; i++) {
        row_gain(to->content_bias + head_at(block, 0), d_q + i * block->c, block->width);
    }
}

/* Position term: d_q, d_r and its bias are added to. A and `shifted` are used up. */
static void position_backward(const struct block *block,
                              const struct kernels_relative_gradients *to)
{
    const float scale = block->shape->scale;
    float *const d_position = block->content;
    for (int64_t i = 0; i < block->rows; i++) {
        row_clear(block->shifted + i * block->range_stride, 0, block->range);
        row_shift_back(shifted_at(block, i), block->slopes + i * block->stride, block->reversed,
                       block->keys);
    }
    OPERATION(matmul)
    (block->rows, block->width, block->range, scale, matrix_of(block->shifted, block->range_stride),
     matrix_of(block->inputs->r + head_at(block, block->low_row), block->c), 0.0F, d_position,
     block->width);
    OPERATION(matmul)
    (block->range, block->width, block->rows, scale,
     matrix_transposed(block->shifted, block->range_stride),
     matrix_of(block->position, block->width), 1.0F, to->r + head_at(block, block->low_row),
     block->c);
    for (int64_t i = 0; i < block->rows; i++) {
        const float *const d_row = d_position + i * block->width;
        row_gain(to->position_bias + head_at(block, 0), d_row, block->width);
        row_gain(to->q + head_at(block, block->first + i), d_row, block->width);
    }
}

/* Segment term: d_q, the segment embedding and its bias are added to. */
static void segment_backward(const struct block *block, const struct kernels_relative_gradients *to)
{
    const struct kernels_relative_shape *const shape = block->shape;
    const float *const embedding = block->inputs->segment_embedding;
    const int32_t *const segments = shape->key_segments + block->first_key;
    for (int64_t i = 0; i < block->rows; i++) {
        const int32_t segment = shape->query_segments[block->first + i];
        for (int64_t other = 0; other < 2; other++) {
            float *const part = block->shifted;
            const float *const slopes = block->slopes + i * block->stride;
            SIMD
            for (int64_t j = 0; j < block->keys; j++) {
                part[j] = (segments[j] == segment) == (other == 0) ? slopes[j] : 0.0F;
            }
            const float slope = shape->scale * lanes_sum(part, block->keys);
            const float *const row = embedding + head_at(block, other);
            row_gain_scaled(to->q + head_at(block, block->first + i), row, slope, block->width);
            row_gain_scaled(to->segment_bias + head_at(block, 0), row, slope, block->width);
            row_gain_scaled(to->segment_embedding + head_at(block, other), segment_query(block, i),
                            slope, block->width);
        }
    }
}

static void block_backward(const struct block *block, const struct kernels_relative_gradients *to,
                           const float *d_out, const float *log_sum)
{
    const int64_t n = block->shape->query_starts[block->shape->sequence_count];
    const float *const logs = log_sum + block->head * n + block->first;
    const float *const d_rows = d_out + head_at(block, block->first);
    const int64_t key = head_at(block, block->first_key);
    block_scores(block);
    block_dropout(block);
    OPERATION(matmul)
    (block->rows, block->keys, block->width, 1.0F, matrix_of(d_rows, block->c),
     matrix_transposed(block->inputs->v + key, block->c), 0.0F, block->slopes, block->stride);
    for (int64_t i = 0; i < block->rows; i++) {
        float *const scores = block->scores + i * block->stride;
        float *const slopes = block->slopes + i * block->stride;
        if (row_hide(block, i)) {
            row_slopes(scores, slopes, block->kept + i * block->kept_stride, block->dropout,
                       logs[i], block->keys);
        } else {
            row_clear(scores, 0, block->keys);
            row_clear(slopes, 0, block->keys);
        }
    }
    OPERATION(matmul)
    (block->keys, block->width, block->rows, 1.0F, matrix_transposed(block->scores, block->stride),
     matrix_of(d_rows, block->c), 1.0F, to->v + key, block->c);
    content_backward(block, to);
    position_backward(block, to);
    if (block->shape->key_segments != NULL) {
        segment_backward(block, to);
    }
}

void OPERATION(relative_backward)(const struct kernels_relative_gradients *gradients,
                                  const float *d_out, const float *log_sum,
                                  const struct kernels_relative_inputs *inputs,
                                  const struct kernels_relative_shape *shape, float *scratch)
{
    struct block block = block_make(shape, inputs, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        for (block.head = 0; block.head < shape->heads; block.head++) {
            for (int64_t first = shape->query_starts[b]; first < shape->query_starts[b + 1];
                 first += BLOCK_ROWS) {
                block_place(&block, b, first);
                block_backward(&block, gradients, d_out, log_sum);
            }
        }
    }
}
