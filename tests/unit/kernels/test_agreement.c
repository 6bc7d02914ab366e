/* kernels: every operation of every level that this processor runs gives what the reference gives,
 * over a table of operations and shapes. All the arrays that a case takes are compared, inputs too:
 * in bits, or, where matrix products or libm's exp have part in them, by their relative distance.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/support/suite.h"

enum { ARRAYS_MAX = 24, ELEMENTS_MAX = 400000 };

/* The arrays of one run of a case; the same seed gives both levels the same inputs. */
struct bench {
    struct random_stream stream;
    struct {
        void *data;
        int64_t count;
        bool floats;
    } arrays[ARRAYS_MAX];
    int array_count;
};

static void bench_init(struct bench *bench)
{
    *bench =
        (struct bench){.stream = random_stream_make(random_key_make(7, RANDOM_PURPOSE_TEST, 0), 1)};
}

static void bench_deinit(struct bench *bench)
{
    for (int i = 0; i < bench->array_count; i++) {
        memory_release(bench->arrays[i].data);
    }
}

static void *bench_take(struct bench *bench, int64_t count, size_t size, bool floats)
{
    ck_assert_int_lt(bench->array_count, ARRAYS_MAX);
    void *const data = memory_take((size_t)count, size, "test");
    bench->arrays[bench->array_count].data = data;
    bench->arrays[bench->array_count].count = floats ? count : count * (int64_t)size;
    bench->arrays[bench->array_count++].floats = floats;
    return data;
}

/* Uniform in [-size, size); four of them share a block of random bits. */
static float *bench_floats(struct bench *bench, int64_t count, double size)
{
    float *const values = bench_take(bench, count, sizeof *values, true);
    struct random_stream *const stream = &bench->stream;
    for (int64_t i = 0; i < count && size > 0;) {
        const struct random_block block = random_at(stream->key, stream->high, stream->low++);
        for (int64_t w = 0; w < ARRAY_LENGTH(block.word) && i < count; w++, i++) {
            values[i] = (float)(((double)block.word[w] * 0x1p-31 - 1.0) * size);
        }
    }
    return values;
}

static int32_t *bench_ids(struct bench *bench, int64_t count, int64_t bound)
{
    int32_t *const ids = bench_take(bench, count, sizeof *ids, false);
    for (int64_t i = 0; i < count; i++) {
        ids[i] = (int32_t)random_stream_below(&bench->stream, (uint64_t)bound);
    }
    return ids;
}

static struct kernels_dropout test_dropout(double rate)
{
    return kernels_dropout_make(rate, random_key_make(3, RANDOM_PURPOSE_DROPOUT, 9),
                                UINT64_C(0x123456789abcdef));
}

static uint32_t *bench_bits(struct bench *bench, const struct kernels *kernels, int64_t count)
{
    uint32_t *const bits = bench_take(bench, (count + 31) / 32, sizeof *bits, false);
    const struct kernels_dropout dropout = test_dropout(0.3);
    kernels->dropout_bits(bits, &dropout, count);
    return bits;
}

static void run_embedding(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    enum { WORDS = 9, POSITIONS = 12, TYPES = 2 };
    float *const word = bench_floats(bench, WORDS * c, 1);
    float *const position = bench_floats(bench, POSITIONS * c, 1);
    float *const type = bench_floats(bench, TYPES * c, 1);
    float *const out = bench_floats(bench, n * c, 1);
    const int32_t *const ids = bench_ids(bench, n, WORDS);
    const int32_t *const positions = bench_ids(bench, n, POSITIONS - 2);
    const int32_t *const segments = bench_ids(bench, n, TYPES);
    kernels->embedding_forward(out, word, position, type, ids, positions, segments, 2, n, c);
    kernels->embedding_backward(word, position, type, out, ids, positions, segments, 2, 1, n, c);
    kernels->embedding_forward(out, word, position, type, ids, positions, NULL, 2, n, c);
    kernels->embedding_backward(word, position, type, out, ids, positions, NULL, 2, -1, n, c);
    float *const bare = bench_floats(bench, n * c, 1);
    kernels->embedding_forward(bare, word, NULL, NULL, ids, NULL, NULL, 0, n, c);
    kernels->embedding_backward(word, NULL, NULL, bare, ids, NULL, NULL, 0, -1, n, c);
}

static void run_rows(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    float *const in = bench_floats(bench, n * c, 1);
    const int32_t *const rows = bench_ids(bench, n + 3, n == 0 ? 1 : n);
    const int64_t count = n == 0 ? 0 : n + 3;
    float *const out = bench_floats(bench, count * c, 1);
    kernels->rows_gather(out, in, rows, count, c);
    kernels->rows_scatter_add(in, out, rows, count, c);
}

static void run_dropout(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    const float *const in = bench_floats(bench, n * c, 1);
    float *const out = bench_floats(bench, n * c, 1);
    const uint32_t *const bits = bench_bits(bench, kernels, n * c);
    kernels->dropout_apply(out, in, bits, 1.25F, n * c);
    kernels->dropout_apply(out, out, bits, 1.25F, n * c);
    float *const copy = bench_floats(bench, n * c, 1);
    kernels->dropout_apply(copy, in, NULL, 1.25F, n * c);
    uint32_t *const all = bench_take(bench, (n * c + 31) / 32, sizeof *all, false);
    const struct kernels_dropout none = test_dropout(0.0);
    kernels->dropout_bits(all, &none, n * c);
}

static void run_norm(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    const float *const x = bench_floats(bench, n * c, 2);
    const float *const residual = bench_floats(bench, n * c, 2);
    const float *const bias = bench_floats(bench, c, 1);
    const float *const gain = bench_floats(bench, c, 1);
    const float *const shift = bench_floats(bench, c, 1);
    const uint32_t *const bits = bench_bits(bench, kernels, n * c);
    float *const mean = bench_floats(bench, n, 0);
    float *const rstd = bench_floats(bench, n, 0);
    float *const normed = bench_floats(bench, n * c, 0);
    float *const sum = bench_floats(bench, n * c, 0);
    for (int kind = 0; kind < 8; kind++) {
        kernels->residual_norm_forward(sum, normed, mean, rstd, (kind & 1) != 0 ? residual : NULL,
                                       x, (kind & 2) != 0 ? bias : NULL,
                                       (kind & 4) != 0 ? bits : NULL, 1.5F, gain, shift, 1e-5F, n,
                                       c);
        /* fold every variant into what is compared */
        kernels->residual_norm_forward(sum, NULL, NULL, NULL, sum, normed, NULL, NULL, 1, NULL,
                                       NULL, 1e-5F, n, c);
    }
    kernels->residual_norm_forward(sum, normed, mean, rstd, residual, sum, NULL, NULL, 1, gain,
                                   shift, 1e-5F, n, c);
    const float *const d_normed = bench_floats(bench, n * c, 1);
    float *const d_gain = bench_floats(bench, c, 1);
    float *const d_shift = bench_floats(bench, c, 1);
    float *const d_sum = bench_floats(bench, n * c, 1);
    kernels->norm_backward(d_sum, d_gain, d_shift, NULL, d_normed, sum, mean, rstd, gain, n, c);
    kernels->norm_backward(d_sum, d_gain, d_shift, d_sum, d_normed, sum, mean, rstd, gain, n, c);
    kernels->norm_backward(d_sum, d_gain, d_shift, NULL, d_sum, sum, mean, rstd, gain, n, c);
}

static void run_activation(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    const float *const bias = bench_floats(bench, c, 1);
    for (int kind = KERNELS_ACTIVATION_GELU; kind <= KERNELS_ACTIVATION_TANH; kind++) {
        float *const pre = bench_floats(bench, n * c, kind == KERNELS_ACTIVATION_GELU ? 16 : 7);
        float *const out = bench_floats(bench, n * c, 1);
        float *const d_out = bench_floats(bench, n * c, 1);
        float *const d_bias = bench_floats(bench, c, 1);
        kernels->activation_forward(out, NULL, pre, NULL, (enum kernels_activation)kind, n, c);
        kernels->activation_forward(out, pre, pre, bias, (enum kernels_activation)kind, n, c);
        kernels->activation_backward(d_out, d_bias, d_out, pre, n, c);
    }
}

static void run_bias(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    float *const bias = bench_floats(bench, c, 1);
    float *const out = bench_floats(bench, n * c, 1);
    kernels->bias_forward(out, bias, n, c);
    kernels->bias_backward(bias, out, n, c);
}

static void run_softmax(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    float *const logits = bench_floats(bench, n * c, 20);
    const float *const bias = bench_floats(bench, c, 1);
    const int32_t *const targets = bench_ids(bench, n, c);
    double *const loss = bench_take(bench, 2, sizeof *loss, false);
    int64_t *const correct = bench_take(bench, 2, sizeof *correct, false);
    if (n > 0) {
        memset(logits, 0, (size_t)c * sizeof *logits); /* a row of ties */
    }
    kernels->softmax_cross_entropy(logits, NULL, targets, 0.0F, loss, correct, n, c);
    kernels->softmax_cross_entropy(logits, bias, targets, 0.125F, loss + 1, correct + 1, n, c);
    if (c > 1) {
        float *const wide = bench_floats(bench, n * c, 20);
        struct kernels_softmax_part *const parts = bench_take(bench, 3 * n, sizeof *parts, false);
        const int64_t cut = c / 3 + 1;
        kernels->softmax_part(wide, c, bias, targets, 0, true, parts, n, cut);
        kernels->softmax_part(wide + cut, c, bias + cut, targets, cut, true, parts + n, n, c - cut);
        kernels_softmax_join(parts + 2 * n, parts, 2, targets, loss, correct, n);
        kernels->softmax_part_gradient(wide, c, targets, 0, 0.125F, parts, parts + 2 * n, n, cut);
        kernels->softmax_part_gradient(wide + cut, c, targets, cut, 0.125F, parts + n,
                                       parts + 2 * n, n, c - cut);
    }
}

static void run_fixed_point(const struct kernels *kernels, struct bench *bench, int64_t n,
                            int64_t c)
{
    static const int fractions[] = {0, 20, 40, 54};
    const float *const values = bench_floats(bench, n * c, 100);
    int64_t *const sums = bench_take(bench, n * c, sizeof *sums, false);
    float *const back = bench_floats(bench, n * c, 1);
    double *const squares = bench_take(bench, 3 * ARRAY_LENGTH(fractions), sizeof *squares, false);
    for (int64_t i = 0; i < ARRAY_LENGTH(fractions); i++) {
        double *const square = squares + 3 * i;
        ck_assert(kernels->fixed_point_add(sums, values, fractions[i], 7, n * c));
        ck_assert(kernels->fixed_point_finish(bench_floats(bench, n * c, 0), square, sums, NULL,
                                              fractions[i], 7, n * c));
        ck_assert(
            kernels->fixed_point_finish(back, square + 1, sums, values, fractions[i], 7, n * c));
        ck_assert(kernels->fixed_point_finish(bench_floats(bench, n * c, 0), square + 2, NULL,
                                              values, fractions[i], 7, n * c));
        ck_assert(kernels->fixed_point_set(sums, values, fractions[i], 7, n * c));
    }
}

static void run_optimizer(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    float *const weights = bench_floats(bench, n * c, 1);
    float *const first = bench_floats(bench, n * c, 0);
    float *const second = bench_floats(bench, n * c, 0);
    const float *const gradient = bench_floats(bench, n * c, 1);
    double *const square = bench_take(bench, 1, sizeof *square, false);
    const struct kernels_adamw options = {.rate = 1e-3,
                                          .beta1 = 0.9,
                                          .beta2 = 0.98,
                                          .epsilon = 1e-6,
                                          .weight_decay = 0.1,
                                          .correction1 = 10,
                                          .correction2 = 50,
                                          .gradient_scale = 0.3};
    const struct kernels_state state = {weights, first, second};
    const struct kernels_state next = {bench_floats(bench, n * c, 0), bench_floats(bench, n * c, 0),
                                       bench_floats(bench, n * c, 0)};
    kernels->adamw(&next, &state, gradient, &options, n * c);
    kernels->adamw(&state, &next, gradient, &options, n * c);
    *square = kernels->square_sum(gradient, n * c);
    float *const direction = bench_floats(bench, n * c, 0);
    kernels->lamb_moments(first, second, gradient, &options, n * c);
    kernels->lamb_direction(direction, weights, first, second, &options, n * c);
    kernels->lamb_apply(weights, direction, 1e-3, n * c);
}

static void run_matmul(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    const int64_t k = n * c <= 2000 ? 2 * KERNELS_MATMUL_BLOCK + 37 : 37;
    const float *const a = bench_floats(bench, n * k, 1);
    const float *const b = bench_floats(bench, k * c, 1);
    for (int kind = 0; kind < 4; kind++) {
        const bool transpose_a = (kind & 1) != 0;
        const bool transpose_b = (kind & 2) != 0;
        float *const out = bench_floats(bench, n * (c + 2), 1);
        kernels->matmul(n, c, k, 0.5F,
                        (struct kernels_matrix){a, transpose_a ? (n == 0 ? 1 : n) : k,
                                                .transposed = transpose_a},
                        (struct kernels_matrix){b, transpose_b ? k : c, .transposed = transpose_b},
                        kind == 3 ? 0.0F : 1.0F, out, c + 2);
    }
}

/* Operands that are rounded before: either one, and both. */
static void run_rounded(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    const int64_t k = n * c <= 2000 ? 2 * KERNELS_MATMUL_BLOCK + 37 : 37;
    const float *const values[] = {bench_floats(bench, n * k, 1), bench_floats(bench, k * c, 1)};
    uint16_t *const rounded[] = {bench_take(bench, n * k, sizeof **rounded, false),
                                 bench_take(bench, k * c, sizeof **rounded, false)};
    float *const plain = bench_floats(bench, n * c, 1);
    float *const out = bench_floats(bench, n * c, 1);
    kernels->round(rounded[0], values[0], n * k);
    kernels->round(rounded[1], values[1], k * c);
    for (int kind = 0; kind < 16; kind++) {
        const bool transpose_a = (kind & 1) != 0;
        const bool transpose_b = (kind & 2) != 0;
        struct kernels_matrix a = {.values = values[0],
                                   .ld = transpose_a ? (n == 0 ? 1 : n) : k,
                                   .transposed = transpose_a};
        struct kernels_matrix b = {
            .values = values[1], .ld = transpose_b ? k : c, .transposed = transpose_b};
        kernels->matmul(n, c, k, 0.5F, a, b, 0.0F, plain, c);
        a.rounded = (kind & 4) != 0;
        a.values = a.rounded ? (const void *)rounded[0] : a.values;
        b.rounded = (kind & 8) != 0;
        b.values = b.rounded ? (const void *)rounded[1] : b.values;
        kernels->matmul(n, c, k, 0.5F, a, b, 0.0F, out, c);
        ck_assert_mem_eq(out, plain, (size_t)(n * c) * sizeof *out);
    }
}

/* Rows of the sequence [start, end) see themselves, up to two behind and one halfway to the start.
 */
static void visibility_fill(int32_t *lists, int32_t *intervals, int32_t start, int32_t end)
{
    for (int32_t row = start; row < end; row++) {
        const int32_t place = row - start;
        const int32_t pair[] = {place / 2, place / 2 + 1, place,
                                place + 3 < end - start ? place + 3 : end - start};
        memcpy(intervals + 4 * row, pair, sizeof pair);
        lists[2 * row] = 2 * row + (place == 0 ? 1 : 0);
        lists[2 * row + 1] = 2 * row + 2;
    }
}

/* Sequences of lengths 1, 0 and the rest; `c` becomes the head width. `every`: rows 1, 1 + every, …
 * of all but the last quarter ask; 0: all do. */
static void run_attention(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c,
                          enum kernels_attention kind, double rate, int32_t every)
{
    enum { HEADS = 3 };
    const int32_t starts[] = {0, n > 0 ? 1 : 0, n > 0 ? 1 : 0, (int32_t)n};
    const int64_t longest = n > 1 ? n - 1 : n;
    struct kernels_attention_shape shape = {.sequence_count = 3,
                                            .starts = starts,
                                            .heads = HEADS,
                                            .head_width = c,
                                            .kind = kind,
                                            .scale = (float)(1.0 / sqrt((double)c)),
                                            .dropout = test_dropout(rate)};
    int32_t *const lists = bench_take(bench, 2 * n, sizeof *lists, false);
    int32_t *const intervals = bench_take(bench, 4 * n, sizeof *intervals, false);
    const struct kernels_visibility visibility = {lists, intervals};
    for (int64_t b = 0; b < shape.sequence_count; b++) {
        visibility_fill(lists, intervals, starts[b], starts[b + 1]);
    }
    shape.visibility = &visibility;
    int32_t *const queries = bench_take(bench, n, sizeof *queries, false);
    shape.queries = every == 0 ? NULL : queries;
    for (int32_t row = 1; every != 0 && row < n - n / 4; row += every) {
        queries[shape.query_count++] = row;
    }
    const float *const qkv = bench_floats(bench, n * 3 * HEADS * c, 2);
    const float *const d_out = bench_floats(bench, n * HEADS * c, 1);
    float *const out = bench_floats(bench, n * HEADS * c, 1);
    float *const log_sum = bench_floats(bench, HEADS * n, 1);
    float *const d_qkv = bench_floats(bench, n * 3 * HEADS * c, 1);
    float *const scratch =
        memory_take((size_t)kernels->attention_scratch(longest, c), sizeof *scratch, "test");
    kernels->attention_forward(out, log_sum, qkv, &shape, scratch);
    kernels->attention_backward(d_qkv, d_out, out, log_sum, qkv, &shape, scratch);
    memory_release(scratch);
}

static void run_attention_full(const struct kernels *kernels, struct bench *bench, int64_t n,
                               int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_FULL, 0.0, 0);
}

static void run_attention_dropout(const struct kernels *kernels, struct bench *bench, int64_t n,
                                  int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_FULL, 0.1, 0);
}

static void run_attention_causal(const struct kernels *kernels, struct bench *bench, int64_t n,
                                 int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_CAUSAL, 0.1, 0);
}

static void run_attention_visible(const struct kernels *kernels, struct bench *bench, int64_t n,
                                  int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_VISIBLE, 0.1, 0);
}

static void run_attention_some(const struct kernels *kernels, struct bench *bench, int64_t n,
                               int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_FULL, 0.1, 2);
}

static void run_attention_causal_some(const struct kernels *kernels, struct bench *bench, int64_t n,
                                      int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_CAUSAL, 0.1, 3);
}

/* One row asks, or, of a single row, none. */
static void run_attention_visible_one(const struct kernels *kernels, struct bench *bench, int64_t n,
                                      int64_t c)
{
    run_attention(kernels, bench, n, c, KERNELS_ATTENTION_VISIBLE, 0.1, INT16_MAX);
}

/* Tokens at every second place behind a memory of 3 keys, in any order; the last sequence is
 * reversed. */
static void run_relative(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c)
{
    enum { HEADS = 2, MEMORY = 3 };
    static const int32_t reversed[] = {0, 0, 1};
    const int32_t first = n > 0 ? 1 : 0;
    const int32_t query_starts[] = {0, first, first, (int32_t)n};
    int32_t key_starts[] = {0, 0, 0, 0};
    for (int b = 0; b < 3; b++) {
        key_starts[b + 1] = key_starts[b] + MEMORY + 2 * (query_starts[b + 1] - query_starts[b]);
    }
    const int64_t keys = key_starts[3];
    int32_t *const places = bench_ids(bench, n, 1);
    for (int64_t i = 0; i < n; i++) {
        places[i] = (int32_t)(MEMORY + 2 * (i < first ? 0 : i - first) + 1);
    }
    const struct kernels_relative_shape shape = {.sequence_count = 3,
                                                 .query_starts = query_starts,
                                                 .key_starts = key_starts,
                                                 .heads = HEADS,
                                                 .head_width = c,
                                                 .zero_row = keys,
                                                 .reversed = reversed,
                                                 .places = places,
                                                 .query_orders = bench_ids(bench, n, 50),
                                                 .key_orders = bench_ids(bench, keys, 50),
                                                 .query_segments = bench_ids(bench, n, 2),
                                                 .key_segments = bench_ids(bench, keys, 2),
                                                 .sees_itself = true,
                                                 .scale = (float)(1.0 / sqrt((double)c)),
                                                 .dropout = test_dropout(0.1)};
    const int64_t wide = HEADS * c;
    float *values[8];
    float *gradients[8];
    const int64_t rows[8] = {n, keys, keys, 2 * keys + 1, 1, 1, 1, 2};
    for (int i = 0; i < 8; i++) {
        values[i] = bench_floats(bench, rows[i] * wide, 1);
        gradients[i] = bench_floats(bench, rows[i] * wide, 1);
    }
    const struct kernels_relative_inputs inputs = {values[0], values[1], values[2], values[3],
                                                   values[4], values[5], values[6], values[7]};
    const struct kernels_relative_gradients to = {gradients[0], gradients[1], gradients[2],
                                                  gradients[3], gradients[4], gradients[5],
                                                  gradients[6], gradients[7]};
    const float *const d_out = bench_floats(bench, n * wide, 1);
    float *const out = bench_floats(bench, n * wide, 1);
    float *const log_sum = bench_floats(bench, HEADS * n, 1);
    float *const scratch =
        memory_take((size_t)kernels->relative_scratch(keys, c), sizeof *scratch, "test");
    kernels->relative_forward(out, log_sum, &inputs, &shape, scratch);
    kernels->relative_backward(&to, d_out, log_sum, &inputs, &shape, scratch);
    memory_release(scratch);
}

/* Distances: a dot product of k terms is off by about sqrt(k) · 6e-8 of its terms' norm;
 * attention's backward chains four of them and a float log_sum; the biases of relative attention
 * add up over all queries what cancels. */
static const struct {
    const char *name;
    void (*run)(const struct kernels *kernels, struct bench *bench, int64_t n, int64_t c);
    double distance_max; /* 0: same bits */
    int64_t width_max;
} cases[] = {
    {"embedding", run_embedding, 0, 4096},
    {"rows", run_rows, 0, 4096},
    {"dropout", run_dropout, 0, 4096},
    {"norm", run_norm, 0, 4096},
    {"activation", run_activation, 0, 4096},
    {"bias", run_bias, 0, 4096},
    {"softmax", run_softmax, 0, 65536},
    {"fixed point", run_fixed_point, 0, 4096},
    {"optimizer", run_optimizer, 0, 4096},
    {"matmul", run_matmul, 0, 4096},
    {"attention", run_attention_full, 3e-6, 64},
    {"attention with dropout", run_attention_dropout, 3e-6, 64},
    {"causal attention", run_attention_causal, 3e-6, 64},
    {"visible attention", run_attention_visible, 3e-6, 64},
    {"attention of some rows", run_attention_some, 3e-6, 64},
    {"causal attention of some rows", run_attention_causal_some, 3e-6, 64},
    {"visible attention of one row", run_attention_visible_one, 3e-6, 64},
    {"relative attention", run_relative, 1e-5, 64},
};

enum { MATMUL_CASE = 9 }; /* for its name */

static const int64_t rows_of[] = {0, 1, 7, 130};
static const int64_t widths_of[] = {1, 7, 9, 11, 16, 44, 129, 2050, 50257};

static double distance(const float *a, const float *b, int64_t count)
{
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(size > 0 ? difference / size : difference);
}

/* `exact`: the same bits, whatever the distance of the case is. */
static void benches_compare(const struct bench *a, const struct bench *b, int64_t test, bool exact,
                            int64_t n, int64_t c)
{
    ck_assert_int_eq(a->array_count, b->array_count);
    for (int i = 0; i < a->array_count; i++) {
        const int64_t count = a->arrays[i].count;
        ck_assert_int_eq(count, b->arrays[i].count);
        if (a->arrays[i].floats && cases[test].distance_max > 0 && !exact) {
            const double far = distance(a->arrays[i].data, b->arrays[i].data, count);
            ck_assert_msg(far <= cases[test].distance_max, "%s, %d x %d, array %d: distance %g",
                          cases[test].name, (int)n, (int)c, i, far);
        } else {
            const size_t size = (size_t)count * (a->arrays[i].floats ? sizeof(float) : 1);
            ck_assert_msg(memcmp(a->arrays[i].data, b->arrays[i].data, size) == 0,
                          "%s, %d x %d, array %d: other bits", cases[test].name, (int)n, (int)c, i);
        }
    }
}

/* Runs a case on the same inputs twice. */
static void benches_run(void (*run)(const struct kernels *, struct bench *, int64_t, int64_t),
                        const struct kernels *a, const struct kernels *b, int64_t n, int64_t c,
                        struct bench *first, struct bench *second)
{
    bench_init(first);
    bench_init(second);
    run(a, first, n, c);
    run(b, second, n, c);
}

static void benches_deinit(struct bench *first, struct bench *second)
{
    bench_deinit(first);
    bench_deinit(second);
}

static void levels_compare(const struct kernels *a, const struct kernels *b, bool exact)
{
    for (int64_t test = 0; test < ARRAY_LENGTH(cases); test++) {
        for (int64_t i = 0; i < ARRAY_LENGTH(rows_of) * ARRAY_LENGTH(widths_of); i++) {
            const int64_t n = rows_of[i % ARRAY_LENGTH(rows_of)];
            const int64_t c = widths_of[i / ARRAY_LENGTH(rows_of)];
            if (c > cases[test].width_max || n * c > ELEMENTS_MAX) {
                continue;
            }
            struct bench first;
            struct bench second;
            benches_run(cases[test].run, a, b, n, c, &first, &second);
            benches_compare(&first, &second, test, exact, n, c);
            benches_deinit(&first, &second);
        }
    }
}

static void kernels_take(struct kernels *kernels, enum kernels_level level)
{
    struct error error = {0};
    CHECK_OK(kernels_open(kernels, level, &error), error);
}

START_TEST(test_avx2_agrees_with_the_reference)
{
    struct kernels reference;
    struct kernels vector;
    kernels_take(&reference, KERNELS_LEVEL_REFERENCE);
    kernels_take(&vector, KERNELS_LEVEL_AVX2);
    levels_compare(&vector, &reference, false);
}
END_TEST

START_TEST(test_vector_levels_have_the_same_bits)
{
    if (kernels_level_best() != KERNELS_LEVEL_AVX512) {
        (void)fprintf(stderr, "skipped, avx512 against avx2: this processor has no AVX-512\n");
        return;
    }
    struct kernels narrow;
    struct kernels wide;
    kernels_take(&narrow, KERNELS_LEVEL_AVX2);
    kernels_take(&wide, KERNELS_LEVEL_AVX512);
    ck_assert_str_eq(narrow.profile, wide.profile);
    levels_compare(&wide, &narrow, true);
}
END_TEST

/* Of both: the products that the contract defines, to the bit. */
START_TEST(test_bf16_products_have_the_bits_of_the_reference)
{
    struct kernels reference;
    struct kernels vector;
    struct error error = {0};
    kernels_take(&reference, KERNELS_LEVEL_REFERENCE);
    CHECK_OK(kernels_use_bf16(&reference, &error), error);
    kernels_take(&vector, kernels_level_best());
    if (kernels_use_bf16(&vector, &error) != STATUS_OK) {
        ck_assert_ptr_nonnull(strstr(error.message, "AVX512-BF16"));
        (void)fprintf(stderr, "skipped, bf16 against reference: %s\n", error.message);
        return;
    }
    ck_assert_ptr_nonnull(strstr(vector.profile, "bf16"));
    void (*const runs[])(const struct kernels *, struct bench *, int64_t, int64_t) = {run_matmul,
                                                                                      run_rounded};
    for (int64_t i = 0; i < ARRAY_LENGTH(rows_of) * ARRAY_LENGTH(runs); i++) {
        const int64_t widths[] = {1, 16, 33, 129};
        const int64_t rows = rows_of[i / ARRAY_LENGTH(runs)];
        for (int64_t j = 0; j < ARRAY_LENGTH(widths); j++) {
            struct bench first;
            struct bench second;
            benches_run(runs[i % ARRAY_LENGTH(runs)], &vector, &reference, rows, widths[j], &first,
                        &second);
            benches_compare(&first, &second, MATMUL_CASE, true, rows, widths[j]);
            benches_deinit(&first, &second);
        }
    }
}
END_TEST

/* The halves of what rounding must get right: ties go to even, a carry may reach infinity,
 * denormals become zero with their sign, and what is not a number stays that. In place, too. */
START_TEST(test_bf16_rounds_to_nearest_even)
{
    static const struct {
        uint32_t in;
        uint16_t out;
    } values[] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
        {0x3f817fff, 0x3f81}, {0xbf818000, 0xbf82}, {0x3f7f8000, 0x3f80}, {0x7f7fffff, 0x7f80},
        {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, {0x7f800001, 0x7fc0}, {0xffc12345, 0xffc1},
        {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x007fffff, 0x0000}, {0x80400000, 0x8000},
        {0x00800000, 0x0080}, {0x00808000, 0x0080}, {0x42f6e979, 0x42f7}};
    enum { COUNT = ARRAY_LENGTH(values) };
    const enum kernels_level levels[] = {KERNELS_LEVEL_REFERENCE, kernels_level_best()};
    for (int64_t i = 0; i < ARRAY_LENGTH(levels); i++) {
        struct error error = {0};
        struct kernels kernels;
        kernels_take(&kernels, levels[i]);
        ck_assert(kernels.round == NULL);
        if (kernels_use_bf16(&kernels, &error) != STATUS_OK) {
            (void)fprintf(stderr, "skipped, rounding to bf16: %s\n", error.message);
            return;
        }
        float in[COUNT];
        uint16_t out[COUNT + 1];
        out[COUNT] = 0x1234;
        for (int64_t k = 0; k < COUNT; k++) {
            memcpy(&in[k], &values[k].in, sizeof in[k]);
        }
        kernels.round(out, in, COUNT);
        kernels.round((uint16_t *)in, in, COUNT);
        ck_assert_mem_eq(in, out, COUNT * sizeof *out);
        ck_assert_uint_eq(out[COUNT], 0x1234);
        for (int64_t k = 0; k < COUNT; k++) {
            ck_assert_uint_eq(out[k], values[k].out);
        }
    }
}
END_TEST

/* Operands keep 8 bits, so each is off by at most 2^-9; backward chains four products. All must be
 * near the reference, which sums in double, and not all as near as in fp32. */
START_TEST(test_bf16_attention_is_near_the_reference)
{
    enum { ROWS = 130, WIDTH = 64 };
    void (*const runs[])(const struct kernels *, struct bench *, int64_t, int64_t) = {
        run_attention_full,    run_attention_dropout, run_attention_causal,
        run_attention_visible, run_attention_some,    run_attention_causal_some};
    struct kernels reference;
    struct kernels vector;
    struct error error = {0};
    kernels_take(&reference, KERNELS_LEVEL_REFERENCE);
    kernels_take(&vector, kernels_level_best());
    if (kernels_use_bf16(&vector, &error) != STATUS_OK) {
        (void)fprintf(stderr, "skipped, bf16 attention: %s\n", error.message);
        return;
    }
    for (int64_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        struct bench first;
        struct bench second;
        double farthest = 0;
        benches_run(runs[i], &vector, &reference, ROWS, WIDTH, &first, &second);
        for (int k = 0; k < first.array_count; k++) {
            farthest = first.arrays[k].floats
                           ? fmax(farthest, distance(first.arrays[k].data, second.arrays[k].data,
                                                     first.arrays[k].count))
                           : farthest;
        }
        ck_assert_double_lt(farthest, 0.02);
        ck_assert_double_gt(farthest, 1e-4);
        benches_deinit(&first, &second);
    }
}
END_TEST

START_TEST(test_bf16_is_refused_at_level_avx2)
{
    struct kernels kernels;
    struct error error = {0};
    kernels_take(&kernels, KERNELS_LEVEL_AVX2);
    CHECK_FAILS(kernels_use_bf16(&kernels, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "the level of this job is avx2"));
}
END_TEST

/* Two orders of sums of at most 130 products: each within 130 roundings, 2e-7 by experience. */
static const double library_distance_max = 2e-6;

/* Its sums have another order: agreement within rounding, and a profile that names it. */
START_TEST(test_openblas_agrees_with_the_reference)
{
    struct error error = {0};
    struct kernels reference;
    struct kernels library;
    kernels_take(&reference, KERNELS_LEVEL_REFERENCE);
    CHECK_FAILS(kernels_use_openblas(&reference, &error), STATUS_INPUT);
    kernels_take(&library, kernels_level_best());
    CHECK_OK(kernels_use_openblas(&library, &error), error);
    ck_assert_ptr_nonnull(strstr(library.profile, "openblas 0."));
    for (int64_t i = 0; i < ARRAY_LENGTH(rows_of); i++) {
        const int64_t widths[] = {1, 16, 33, 129};
        for (int64_t j = 0; j < ARRAY_LENGTH(widths); j++) {
            struct bench first;
            struct bench second;
            benches_run(run_matmul, &library, &reference, rows_of[i], widths[j], &first, &second);
            for (int k = 0; k < first.array_count; k++) {
                const double far =
                    distance(first.arrays[k].data, second.arrays[k].data, first.arrays[k].count);
                ck_assert_msg(far <= library_distance_max, "%d x %d, array %d: distance %g",
                              (int)rows_of[i], (int)widths[j], k, far);
            }
            benches_deinit(&first, &second);
        }
    }
}
END_TEST

int main(void)
{
    return suite_run(
        "kernels agreement",
        (const TTest *[]){
            test_avx2_agrees_with_the_reference, test_vector_levels_have_the_same_bits,
            test_bf16_products_have_the_bits_of_the_reference, test_bf16_rounds_to_nearest_even,
            test_bf16_attention_is_near_the_reference, test_bf16_is_refused_at_level_avx2,
            test_openblas_agrees_with_the_reference, NULL});
}
