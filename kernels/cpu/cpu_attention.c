/* Packed multi-head attention: for each sequence and head, blocks of queries against all keys they
 * may see. The products are made on the packed arrays themselves (leading dimensions 3C and C);
 * only a block of scores exists at a time, in the scratch, and a head's keys and values as right
 * operands of products, made ready once for all blocks.
 *
 *   forward   S = scale · Q K', P = exp(S - max), out = (kept P) V · (dropout scale / Σ P)
 *   backward  P = exp(S - log_sum), dP = kept (dO V') · dropout scale, δ = Σ P dP / Σ P per row,
 *             dS = P (dP - δ), dV += (kept P · dropout scale)' dO, dQ = scale · dS K,
 *             dK += scale · dS' Q
 *
 * Blocks of the backward go from the last to the first: the last sees every key, so it writes and
 * the others add. */
#include "kernels/cpu/cpu_attention_row.h"
#include "kernels/cpu/cpu_matmul.h"

enum { BLOCK_ROWS = 128 };

/* One block of query rows of one head of one sequence. */
struct block {
    const struct matmul_type *type;
    int64_t n; /* rows in all */
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
    struct packed key_columns;   /* K', a column for each key */
    struct packed value_columns; /* V' likewise, for slopes */
    struct packed summed;        /* over keys: V, in backward K */
    uint8_t *kept;               /* a query's bits of dropout; kept_stride bytes apart */
    int64_t kept_stride;
    bool kept_all; /* of all heads' rows (shape.kept), else of the block's */
};

/* Units of a head's keys or values as a right operand, by columns or by k. */
static int64_t part_units(int64_t longest, int64_t width)
{
    const int64_t across = packed_units(longest, width);
    const int64_t down = packed_units(width, longest);
    return across > down ? across : down;
}

int64_t OPERATION(attention_scratch)(int64_t longest_sequence, int64_t head_width)
{
    const int64_t kept_bytes = kernels_attention_kept(BLOCK_ROWS, 1, longest_sequence);
    return 2 * scores_floats(BLOCK_ROWS, longest_sequence) +
           3 * part_units(longest_sequence, head_width) + kept_bytes / 4;
}

static struct block block_make(const struct kernels_attention_shape *shape,
                               const struct matmul_type *type, float *scratch)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t length = shape->starts[b + 1] - shape->starts[b];
        longest = length > longest ? length : longest;
    }
    const int64_t scores = scores_floats(BLOCK_ROWS, longest);
    const int64_t part = part_units(longest, shape->head_width);
    uint32_t *const parts = (uint32_t *)(scratch + 2 * scores);
    return (struct block){.type = type,
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
                          .slopes = scratch + scores,
                          .key_columns = {.units = parts},
                          .value_columns = {.units = parts + part},
                          .summed = {.units = parts + 2 * part},
                          .kept = shape->kept != NULL ? shape->kept : (uint8_t *)(parts + 3 * part),
                          .kept_stride = kernels_attention_kept(1, 1, longest),
                          .kept_all = shape->kept != NULL};
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
    block->first = queries_below(shape, first);
    block->rows = queries_below(shape, last) - block->first;
    if (block->rows == 0) {
        return false;
    }
    block->keys = end - start;
    block->keys = block_visible(block, block->rows - 1);
    block->stride = scores_stride(end - start);
    return true;
}

/* The bits of query `row` of the block; NULL: all are kept. */
static uint8_t *block_kept(const struct block *block, int64_t row)
{
    const int64_t place = block->kept_all ? block->head * block->n + block_asks(block, row) : row;
    return block->dropout != NULL ? block->kept + place * block->kept_stride : NULL;
}

static void block_dropout(const struct block *block)
{
    const int64_t first = (block->first_head + block->head) * block->n;
    const int64_t bytes = rounded_up(block->keys, 8) / 8;
    for (int64_t i = 0; i < block->rows && block->dropout != NULL; i++) {
        rows_kept(block_kept(block, i), block->dropout, first + block_asks(block, i), 1, bytes,
                  block->longest);
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

/* Part `part` of the head's keys [first, end) as a right operand, a column for each key (`across`)
 * or a k for each. */
static void part_pack(const struct block *block, struct packed *packed, const float *qkv,
                      int64_t part, bool across, int64_t end)
{
    const int64_t keys = end - block->first_key;
    const struct operand b = {qkv + part_at(block, block->first_key, part), 3 * block->c, across,
                              across ? keys : block->width, false};
    packed->lanes = b.lanes;
    packed->k = across ? block->width : keys;
    matmul_pack(block->type, packed, &b);
}

/* Rows, `width` wide, times packed keys or values by columns. */
static void block_across(const struct block *block, float *out, const float *rows, int64_t ld,
                         float alpha, const struct packed *packed)
{
    matmul_run(block->type, &(struct product){.a = {rows, ld, true, block->rows, false},
                                              .b = {.lanes = block->keys},
                                              .packed = packed,
                                              .k = block->width,
                                              .alpha = alpha,
                                              .c = out,
                                              .ldc = block->stride});
}

/* Sums over keys, weighted by rows of scores or slopes. */
static void block_down(const struct block *block, float *out, int64_t ldc, float alpha,
                       const float *weights)
{
    matmul_run(block->type,
               &(struct product){.a = {weights, block->stride, true, block->rows, false},
                                 .b = {.lanes = block->width},
                                 .packed = &block->summed,
                                 .k = block->keys,
                                 .alpha = alpha,
                                 .c = out,
                                 .ldc = ldc});
}

/* Each key's sum over the block's queries of rows, weighted by its column of scores or slopes. */
static void block_back(const struct block *block, float *out, float beta, float alpha,
                       const float *weights, const float *rows, int64_t ld)
{
    matmul_run(block->type,
               &(struct product){.a = {weights, block->stride, false, block->keys, false},
                                 .b = {rows, ld, false, block->width, false},
                                 .k = block->rows,
                                 .alpha = alpha,
                                 .beta = beta,
                                 .c = out,
                                 .ldc = 3 * block->c});
}

static void block_scores(const struct block *block, const float *qkv)
{
    block_across(block, block->scores, qkv + part_at(block, block->first, 0), 3 * block->c,
                 block->scale, &block->key_columns);
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
        const float sum = row_softmax(row, block_kept(block, i), blind ? 0.0F : most, keys);
        logs[i] = blind ? __builtin_inff() : (float)((double)most + function_log((double)sum));
        factors[i] = blind ? 0.0F : 1.0F / sum;
        if (block->dropout != NULL) {
            factors[i] *= block->dropout->scale;
        }
        row_clear(row, keys, block->keys);
    }
    float *const rows = out + block->first * block->c + block->head * block->width;
    block_down(block, rows, block->c, 1.0F, block->scores);
    for (int64_t i = 0; i < block->rows; i++) {
        row_scale(rows + i * block->c, factors[i], block->width);
    }
}

/* Whether a row of the sequence [start, end) asks, which then is the block's. */
static bool block_begin(struct block *block, const struct kernels_attention_shape *shape,
                        int64_t start, int64_t end)
{
    block->first_key = start;
    return queries_below(shape, end) > queries_below(shape, start);
}

static void forward_with(const struct matmul_type *type, float *out, float *log_sum,
                         const float *qkv, const struct kernels_attention_shape *shape,
                         float *scratch)
{
    struct block block = block_make(shape, type, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t start = shape->starts[b];
        const int64_t end = shape->starts[b + 1];
        const bool asked = block_begin(&block, shape, start, end);
        for (block.head = 0; block.head < shape->heads && asked; block.head++) {
            part_pack(&block, &block.key_columns, qkv, 1, true, end);
            part_pack(&block, &block.summed, qkv, 2, false, end);
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
    const int64_t keys = block_visible(block, i);
    if (block_blind(block, i)) {
        row_clear(scores, 0, block->keys);
        row_clear(slopes, 0, block->keys);
        return;
    }
    block_hide(block, i);
    row_slopes(scores, slopes, block_kept(block, i), block->dropout, log_sum, keys);
    row_clear(scores, keys, block->keys);
    row_clear(slopes, keys, block->keys);
}

struct backward {
    float *d_qkv;
    const float *d_out;
    const float *log_sum;
    const float *qkv;
};

static void block_backward(const struct block *block, const struct backward *backward, bool first)
{
    const int64_t q = part_at(block, block->first, 0);
    float *const d_keys = backward->d_qkv + part_at(block, block->first_key, 1);
    float *const d_values = backward->d_qkv + part_at(block, block->first_key, 2);
    const float *const d_rows =
        backward->d_out + block->first * block->c + block->head * block->width;
    const float before = first ? 0.0F : 1.0F;
    block_scores(block, backward->qkv);
    if (!block->kept_all) {
        block_dropout(block);
    }
    block_across(block, block->slopes, d_rows, block->c, 1.0F, &block->value_columns);
    for (int64_t i = 0; i < block->rows; i++) {
        row_backward(block, i, backward->log_sum[block->head * block->n + block->first + i]);
    }
    block_back(block, d_values, before, 1.0F, block->scores, d_rows, block->c);
    block_down(block, backward->d_qkv + q, 3 * block->c, block->scale, block->slopes);
    block_back(block, d_keys, before, block->scale, block->slopes, backward->qkv + q, 3 * block->c);
}

void OPERATION(attention_forward)(float *out, float *log_sum, const float *qkv,
                                  const struct kernels_attention_shape *shape, float *scratch)
{
    forward_with(&matmul_fp32, out, log_sum, qkv, shape, scratch);
}

/* d_k and d_v of rows [first, end) of the block's head, which no query sees. */
static void keys_clear(const struct block *block, float *d_qkv, int64_t first, int64_t end)
{
    for (int64_t row = first; row < end; row++) {
        row_clear(d_qkv + part_at(block, row, 1), 0, block->width);
        row_clear(d_qkv + part_at(block, row, 2), 0, block->width);
    }
}

/* Takes from d_k of the head's `keys` keys their mean. The gradients of all keys of a sequence add
 * up to zero, since each row of dS does; rounded to bf16 they no longer do, and Adam would magnify
 * what is left in the gradient of the keys' biases. */
static void keys_center(const struct block *block, float *d_qkv, int64_t keys)
{
    float *const mean = block->scores; /* at least BLOCK_ROWS lines */
    for (int64_t first = 0; first < block->width; first += BLOCK_ROWS) {
        const int64_t count = smaller(block->width - first, BLOCK_ROWS);
        float *const d_keys = d_qkv + part_at(block, block->first_key, 1) + first;
        row_clear(mean, 0, count);
        for (int64_t j = 0; j < keys; j++) {
            const float *const d_key = d_keys + j * 3 * block->c;
            SIMD
            for (int64_t d = 0; d < count; d++) {
                mean[d] += d_key[d];
            }
        }
        row_scale(mean, 1.0F / (float)keys, count);
        for (int64_t j = 0; j < keys; j++) {
            float *const d_key = d_keys + j * 3 * block->c;
            SIMD
            for (int64_t d = 0; d < count; d++) {
                d_key[d] -= mean[d];
            }
        }
    }
}

static void backward_with(const struct matmul_type *type, const struct backward *backward,
                          const struct kernels_attention_shape *shape, float *scratch)
{
    struct block block = block_make(shape, type, scratch);
    for (int64_t b = 0; b < shape->sequence_count; b++) {
        const int64_t start = shape->starts[b];
        const int64_t end = shape->starts[b + 1];
        const int64_t last = (end - start - 1) / BLOCK_ROWS * BLOCK_ROWS;
        const bool asked = block_begin(&block, shape, start, end);
        for (block.head = 0; block.head < shape->heads && end > start; block.head++) {
            int64_t seen = 0; /* keys that have their first gradient */
            if (asked) {
                part_pack(&block, &block.key_columns, backward->qkv, 1, true, end);
                part_pack(&block, &block.value_columns, backward->qkv, 2, true, end);
                part_pack(&block, &block.summed, backward->qkv, 1, false, end);
            }
            for (int64_t offset = last; offset >= 0; offset -= BLOCK_ROWS) {
                if (block_place(&block, shape, start, end, offset)) {
                    block_backward(&block, backward, seen == 0);
                    seen = seen == 0 ? block.keys : seen;
                }
            }
            if (type->unit_elements > 1 && seen > 0) {
                keys_center(&block, backward->d_qkv, seen);
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
    backward_with(&matmul_fp32, &backward, shape, scratch);
}

#ifdef __AVX512F__
void attention_forward_bf16_avx512(float *out, float *log_sum, const float *qkv,
                                   const struct kernels_attention_shape *shape, float *scratch)
{
    forward_with(&matmul_bf16, out, log_sum, qkv, shape, scratch);
}

void attention_backward_bf16_avx512(float *d_qkv, const float *d_out, const float *out,
                                    const float *log_sum, const float *qkv,
                                    const struct kernels_attention_shape *shape, float *scratch)
{
    (void)out;
    const struct backward backward = {d_qkv, d_out, log_sum, qkv};
    backward_with(&matmul_bf16, &backward, shape, scratch);
}
#endif
