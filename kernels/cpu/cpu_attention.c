/* Packed multi-head attention: for each sequence and head, blocks of queries against all keys they
 * may see. The products are made on the packed arrays themselves (leading dimensions 3C
 * and C); only a block of scores exists at a time, in the scratch.
 *
 *   forward   S = scale · Q K', P = exp(S - max), out = (kept P) V · (dropout scale / Σ P)
 *   backward  P = exp(S - log_sum), dP = kept (dO V') · dropout scale, δ = Σ P dP / Σ P per row,
 *             dS = P (dP - δ), dV += (kept P · dropout scale)' dO, dQ = scale · dS K,
 *             dK += scale · dS' Q
 *
 * Blocks of the backward go from the last to the first: the last sees every key, so it writes and
 * the others add. */
#include "kernels/cpu/cpu_attention_row.h"

enum { BLOCK_ROWS = 128 };

typedef __typeof__(OPERATION(matmul)) product_function;

/* One block of query rows of one head of one sequence. */
struct block {
    product_function *product; /* of all but d_k: see block_backward */
    int64_t n;                 /* rows in all */
    int64_t c;
    int64_t width; /* D */
    int64_t head;
    int64_t first_head;     /* what dropout counts heads from */
    const int32_t *queries; /* the rows that ask; NULL: all */
    int64_t first_key;      /* row of the sequence's first key */
    int64_t first;          /* the block's first query */
    int64_t rows;
    int64_t keys;    /* that its last query sees */
    int64_t stride;  /* between rows of scores in the scratch */
    int64_t longest; /* sequence, rounded up to 8: the stride of dropout elements */
    bool causal;
    const struct kernels_visibility *visibility; /* NULL: all keys, or those up to the query */
    float scale;
    const struct kernels_dropout *dropout; /* NULL: none */
    float *scores;
    float *slopes;
    uint8_t *kept; /* (rows, kept_stride) bits */
    int64_t kept_stride;
};

int64_t OPERATION(attention_scratch)(int64_t longest_sequence, int64_t head_width)
{
    (void)head_width;
    const int64_t kept_bytes = BLOCK_ROWS * rounded_up(longest_sequence, 8) / 8 + DROPOUT_LANES;
    return 2 * scores_floats(BLOCK_ROWS, longest_sequence) + kept_bytes / 4 + 1;
}

static struct block block_make(const struct kernels_attention_shape *shape,
                               product_function *product, float *scratch)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t length = shape->starts[b + 1] - shape->starts[b];
        longest = length > longest ? length : longest;
    }
    return (struct block){.product = product,
                          .n = shape->starts[shape->sequence_count],
                          .c = shape->heads * shape->head_width,
                          .width = shape->head_width,
                          .first_head = shape->first_head,
                          .queries = shape->queries,
                          .longest = rounded_up(longest, 8),
                          .causal = shape->kind == KERNELS_ATTENTION_CAUSAL,
                          .visibility =
                              shape->kind == KERNELS_ATTENTION_VISIBLE ? shape->visibility : NULL,
                          .scale = shape->scale,
                          .dropout = shape->dropout.threshold == 0 ? NULL : &shape->dropout,
                          .scores = scratch,
                          .slopes = scratch + scores_floats(BLOCK_ROWS, longest),
                          .kept = (uint8_t *)(scratch + 2 * scores_floats(BLOCK_ROWS, longest))};
}

/* The row that asks as query `row` of the block. */
static int64_t block_asks(const struct block *block, int64_t row)
{
    return block->queries == NULL ? block->first + row : block->queries[block->first + row];
}

/* Keys that query `row` of the block sees, if no list says less. */
static int64_t block_visible(const struct block *block, int64_t row)
{
    return block->causal ? block_asks(block, row) - block->first_key + 1 : block->keys;
}

/* Queries among the rows below `end`. */
static int64_t queries_below(const struct kernels_attention_shape *shape, int64_t end)
{
    if (shape->queries == NULL) {
        return end;
    }
    int64_t low = 0;
    int64_t high = shape->query_count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (shape->queries[middle] < end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Places the block on the queries among BLOCK_ROWS rows of the sequence [start, end), from row
 * start + offset on; false if there are none. Blocks go by rows, whoever asks, so that sums over
 * queries are those of a pass in which all do and the others' terms are zero. */
static bool block_place(struct block *block, const struct kernels_attention_shape *shape,
                        int64_t start, int64_t end, int64_t offset)
{
    const int64_t first = start + offset;
    const int64_t last = end - first < BLOCK_ROWS ? end : first + BLOCK_ROWS;
    block->first_key = start;
    block->first = queries_below(shape, first);
    block->rows = queries_below(shape, last) - block->first;
    if (block->rows == 0) {
        return false;
    }
    block->keys = end - start;
    block->keys = block_visible(block, block->rows - 1);
    block->stride = rounded_up(end - start, KERNELS_LANES);
    block->kept_stride = rounded_up(block->keys, 8) / 8;
    return true;
}

static void block_dropout(const struct block *block)
{
    const int64_t row = (block->first_head + block->head) * block->n;
    for (int64_t i = 0; i < block->rows && block->dropout != NULL; i++) {
        rows_kept(block->kept + i * block->kept_stride, block->dropout, row + block_asks(block, i),
                  1, block->kept_stride, block->longest);
    }
}

static void row_hide(float *scores, int64_t from, int64_t to)
{
    SIMD
    for (int64_t j = from; j < to; j++) {
        scores[j] = -__builtin_inff();
    }
}

/* Scores of keys that query `row` of the block does not see become -infinity. */
static void block_hide(const struct block *block, int64_t row)
{
    if (block->visibility == NULL) {
        return;
    }
    float *const scores = block->scores + row * block->stride;
    const int32_t *const list = block->visibility->lists + 2 * block_asks(block, row);
    int64_t from = 0;
    for (int64_t i = list[0]; i < list[1]; i++) {
        row_hide(scores, from, block->visibility->intervals[2 * i]);
        from = block->visibility->intervals[2 * i + 1];
    }
    row_hide(scores, from, block->keys);
}

/* Whether query `row` of the block sees no key at all. */
static bool block_blind(const struct block *block, int64_t row)
{
    if (block->visibility == NULL) {
        return false;
    }
    const int32_t *const list = block->visibility->lists + 2 * block_asks(block, row);
    return list[0] == list[1];
}

/* Element 0 of part (0 query, 1 key, 2 value) of `row` for the block's head. */
static int64_t part_at(const struct block *block, int64_t row, int64_t part)
{
    return (row * 3 + part) * block->c + block->head * block->width;
}

static void block_scores(const struct block *block, const float *qkv)
{
    block->product(false, true, block->rows, block->keys, block->width, block->scale,
                   qkv + part_at(block, block->first, 0), 3 * block->c,
                   qkv + part_at(block, block->first_key, 1), 3 * block->c, 0.0F, block->scores,
                   block->stride);
}

static void block_forward(const struct block *block, float *out, float *log_sum, const float *qkv)
{
    float factors[BLOCK_ROWS];
    float *const logs = log_sum + block->head * block->n + block->first;
    block_scores(block, qkv);
    block_dropout(block);
    for (int64_t i = 0; i < block->rows; i++) {
        float *const row = block->scores + i * block->stride;
        const int64_t keys = block_visible(block, i);
        block_hide(block, i);
        const float most = lanes_max(row, keys);
        const bool blind = block_blind(block, i);
        const float sum =
            row_softmax(row, block->dropout != NULL ? block->kept + i * block->kept_stride : NULL,
                        blind ? 0.0F : most, keys);
        logs[i] = blind ? __builtin_inff() : (float)((double)most + function_log((double)sum));
        factors[i] = blind ? 0.0F : 1.0F / sum;
        if (block->dropout != NULL) {
            factors[i] *= block->dropout->scale;
        }
        row_clear(row, keys, block->keys);
    }
    float *const rows = out + block->first * block->c + block->head * block->width;
    block->product(false, false, block->rows, block->width, block->keys, 1.0F, block->scores,
                   block->stride, qkv + part_at(block, block->first_key, 2), 3 * block->c, 0.0F,
                   rows, block->c);
    for (int64_t i = 0; i < block->rows; i++) {
        row_scale(rows + i * block->c, factors[i], block->width);
    }
}

static void forward_with(product_function *product, float *out, float *log_sum, const float *qkv,
                         const struct kernels_attention_shape *shape, float *scratch)
{
    struct block block = block_make(shape, product, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t start = shape->starts[b];
        const int64_t end = shape->starts[b + 1];
        for (block.head = 0; block.head < shape->heads; block.head++) {
            for (int64_t offset = 0; offset < end - start; offset += BLOCK_ROWS) {
                if (block_place(&block, shape, start, end, offset)) {
                    block_forward(&block, out, log_sum, qkv);
                }
            }
        }
    }
}

/* Scores become kept probabilities times the dropout's scale, slopes (dO V') become dS. δ = Σ P dP
 * / Σ P comes from the very P that it is used with, so that each row of dS adds up to zero but for
 * its own rounding: keys' biases have no gradient in exact arithmetic, and Adam would magnify what
 * δ = dO·O leaves of one. */
static void row_backward(const struct block *block, int64_t i, float log_sum)
{
    float *const scores = block->scores + i * block->stride;
    float *const slopes = block->slopes + i * block->stride;
    const uint8_t *const kept = block->kept + i * block->kept_stride;
    const int64_t keys = block_visible(block, i);
    if (block_blind(block, i)) {
        row_clear(scores, 0, block->keys);
        row_clear(slopes, 0, block->keys);
        return;
    }
    block_hide(block, i);
    row_slopes(scores, slopes, kept, block->dropout, log_sum, keys);
    row_clear(scores, keys, block->keys);
    row_clear(slopes, keys, block->keys);
}

struct backward {
    float *d_qkv;
    const float *d_out;
    const float *log_sum;
    const float *qkv;
};

/* d_k, from dS as it is: rounded to bf16, its rows would not add up to zero any more. */
static void block_backward(const struct block *block, const struct backward *backward, bool first)
{
    const int64_t ld = 3 * block->c;
    const int64_t q = part_at(block, block->first, 0);
    const int64_t k = part_at(block, block->first_key, 1);
    const int64_t v = part_at(block, block->first_key, 2);
    const float *const qkv = backward->qkv;
    const float *const d_rows =
        backward->d_out + block->first * block->c + block->head * block->width;
    const float before = first ? 0.0F : 1.0F;
    block_scores(block, qkv);
    block_dropout(block);
    block->product(false, true, block->rows, block->keys, block->width, 1.0F, d_rows, block->c,
                   qkv + v, ld, 0.0F, block->slopes, block->stride);
    for (int64_t i = 0; i < block->rows; i++) {
        row_backward(block, i, backward->log_sum[block->head * block->n + block->first + i]);
    }
    block->product(true, false, block->keys, block->width, block->rows, 1.0F, block->scores,
                   block->stride, d_rows, block->c, before, backward->d_qkv + v, ld);
    block->product(false, false, block->rows, block->width, block->keys, block->scale,
                   block->slopes, block->stride, qkv + k, ld, 0.0F, backward->d_qkv + q, ld);
    OPERATION(matmul)
    (true, false, block->keys, block->width, block->rows, block->scale, block->slopes,
     block->stride, qkv + q, ld, before, backward->d_qkv + k, ld);
}

void OPERATION(attention_forward)(float *out, float *log_sum, const float *qkv,
                                  const struct kernels_attention_shape *shape, float *scratch)
{
    forward_with(OPERATION(matmul), out, log_sum, qkv, shape, scratch);
}

/* d_k and d_v of rows [first, end) of the block's head, which no query sees. */
static void keys_clear(const struct block *block, float *d_qkv, int64_t first, int64_t end)
{
    for (int64_t row = first; row < end; row++) {
        row_clear(d_qkv + part_at(block, row, 1), 0, block->width);
        row_clear(d_qkv + part_at(block, row, 2), 0, block->width);
    }
}

static void backward_with(product_function *product, const struct backward *backward,
                          const struct kernels_attention_shape *shape, float *scratch)
{
    struct block block = block_make(shape, product, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t start = shape->starts[b];
        const int64_t end = shape->starts[b + 1];
        const int64_t last = (end - start - 1) / BLOCK_ROWS * BLOCK_ROWS;
        for (block.head = 0; block.head < shape->heads && end > start; block.head++) {
            int64_t seen = 0; /* keys that have their first gradient */
            for (int64_t offset = last; offset >= 0; offset -= BLOCK_ROWS) {
                if (block_place(&block, shape, start, end, offset)) {
                    block_backward(&block, backward, seen == 0);
                    seen = seen == 0 ? block.keys : seen;
                }
            }
            keys_clear(&block, backward->d_qkv, start + seen, end);
        }
    }
}

/* `out` is what other levels take δ from. */
void OPERATION(attention_backward)(float *d_qkv, const float *d_out, const float *out,
                                   const float *log_sum, const float *qkv,
                                   const struct kernels_attention_shape *shape, float *scratch)
{
    (void)out;
    const struct backward backward = {d_qkv, d_out, log_sum, qkv};
    backward_with(OPERATION(matmul), &backward, shape, scratch);
}

#ifdef __AVX512F__
void attention_forward_bf16_avx512(float *out, float *log_sum, const float *qkv,
                                   const struct kernels_attention_shape *shape, float *scratch)
{
    forward_with(matmul_bf16_avx512, out, log_sum, qkv, shape, scratch);
}

void attention_backward_bf16_avx512(float *d_qkv, const float *d_out, const float *out,
                                    const float *log_sum, const float *qkv,
                                    const struct kernels_attention_shape *shape, float *scratch)
{
    (void)out;
    const struct backward backward = {d_qkv, d_out, log_sum, qkv};
    backward_with(matmul_bf16_avx512, &backward, shape, scratch);
}
#endif
