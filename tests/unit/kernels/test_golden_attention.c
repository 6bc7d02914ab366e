/* kernels against the golden attention of every kind. */
#include "tests/unit/kernels/golden_kernels.h"

/* Where element (row, head, d) of a golden attention tensor lies: [total, H, D] packed, [B, H, T,
 * D] otherwise. */
struct attention_layout {
    int64_t rows;
    int64_t heads;
    int64_t width;
    int64_t length; /* T; 0 where packed */
};

static int64_t attention_at(const struct attention_layout *layout, int64_t row, int64_t head,
                            int64_t d)
{
    if (layout->length == 0) {
        return (row * layout->heads + head) * layout->width + d;
    }
    const int64_t sequence = row / layout->length;
    const int64_t place = row % layout->length;
    return ((sequence * layout->heads + head) * layout->length + place) * layout->width + d;
}

/* Copies between a golden tensor's order and columns [column, column + H·D) of rows `ld` wide. */
static void attention_copy(const struct attention_layout *layout, float *golden, float *packed,
                           int64_t ld, int64_t column, bool to_packed)
{
    for (int64_t row = 0; row < layout->rows; row++) {
        for (int64_t head = 0; head < layout->heads; head++) {
            for (int64_t d = 0; d < layout->width; d++) {
                float *const a = golden + attention_at(layout, row, head, d);
                float *const b = packed + row * ld + column + head * layout->width + d;
                *(to_packed ? b : a) = to_packed ? *a : *b;
            }
        }
    }
}

static void attention_check(const struct kernels *kernels, const struct golden_file *file,
                            const struct attention_layout *layout,
                            const struct kernels_attention_shape *shape)
{
    static const char *const inputs[] = {"q", "k", "v"};
    static const char *const gradients[] = {"dq", "dk", "dv"};
    const int64_t c = layout->heads * layout->width;
    const int64_t count = layout->rows * c;
    float *const qkv = floats_zeroed(3 * count);
    float *const d_qkv = floats_zeroed(3 * count);
    float *const out = floats_zeroed(count);
    float *const d_out = floats_zeroed(count);
    float *const log_sum = floats_zeroed(layout->rows * layout->heads);
    float *const scratch = floats_zeroed(kernels->attention_scratch(layout->rows, layout->width));
    float *const result = floats_zeroed(count);
    float *const dy = floats_of(file, "dy");
    for (int64_t part = 0; part < 3; part++) {
        float *const values = floats_of(file, inputs[part]);
        attention_copy(layout, values, qkv, 3 * c, part * c, true);
        memory_release(values);
    }
    attention_copy(layout, dy, d_out, c, 0, true);
    kernels->attention_forward(out, log_sum, qkv, shape, scratch);
    kernels->attention_backward(d_qkv, d_out, out, log_sum, qkv, shape, scratch);
    attention_copy(layout, result, out, c, 0, false);
    values_check(file, "y", result, forward_max);
    for (int64_t part = 0; part < 3; part++) {
        attention_copy(layout, result, d_qkv, 3 * c, part * c, false);
        values_check(file, gradients[part], result, backward_max);
    }
    float *const all[] = {qkv, d_qkv, out, d_out, log_sum, scratch, result, dy};
    for (int64_t i = 0; i < ARRAY_LENGTH(all); i++) {
        memory_release(all[i]);
    }
}

START_TEST(test_attention_packed)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/attention_packed.safetensors", _i);
    const struct golden_tensor q = golden_file_find(&file, "q");
    const struct golden_tensor lengths = golden_file_find(&file, "cu_seqlens");
    const struct attention_layout layout = {q.shape[0], q.shape[1], q.shape[2], 0};
    int32_t *const starts = golden_int32s(&lengths);
    const struct kernels_attention_shape shape = {
        .sequence_count = lengths.count - 1,
        .starts = starts,
        .heads = layout.heads,
        .head_width = layout.width,
        .scale = (float)(1.0 / sqrt((double)layout.width)),
        .dropout = kernels_dropout_make(0.0, (struct random_key){{0, 0}}, 0)};
    attention_check(&kernels, &file, &layout, &shape);
    memory_release(starts);
    golden_file_close(&file);
}
END_TEST

START_TEST(test_attention_causal)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/attention_causal.safetensors", _i);
    const struct golden_tensor q = golden_file_find(&file, "q");
    const struct attention_layout layout = {q.shape[0] * q.shape[2], q.shape[1], q.shape[3],
                                            q.shape[2]};
    int32_t starts[16];
    ck_assert_int_lt(q.shape[0], ARRAY_LENGTH(starts));
    for (int64_t b = 0; b <= q.shape[0]; b++) {
        starts[b] = (int32_t)(b * q.shape[2]);
    }
    const struct kernels_attention_shape shape = {
        .sequence_count = q.shape[0],
        .starts = starts,
        .heads = layout.heads,
        .head_width = layout.width,
        .kind = KERNELS_ATTENTION_CAUSAL,
        .scale = (float)(1.0 / sqrt((double)layout.width)),
        .dropout = kernels_dropout_make(0.0, (struct random_key){{0, 0}}, 0)};
    attention_check(&kernels, &file, &layout, &shape);
    golden_file_close(&file);
}
END_TEST

/* The matrix (B, T, T) as lists of intervals, one list a row. */
static void visibility_fill(int32_t *lists, int32_t *intervals, const struct golden_tensor *matrix)
{
    const int64_t length = matrix->shape[2];
    int32_t count = 0;
    for (int64_t row = 0; row < matrix->count / length; row++) {
        lists[2 * row] = count;
        bool open = false;
        for (int32_t j = 0; j <= length; j++) {
            const bool sees = j < length && golden_integer(matrix, row * length + j) == 1;
            if (sees != open) {
                intervals[2 * count + (sees ? 0 : 1)] = j;
                count += sees ? 0 : 1;
            }
            open = sees;
        }
        lists[2 * row + 1] = count;
    }
}

START_TEST(test_attention_visible)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/attention_visible.safetensors", _i);
    const struct golden_tensor q = golden_file_find(&file, "q");
    const struct golden_tensor matrix = golden_file_find(&file, "visible_matrix");
    const struct attention_layout layout = {q.shape[0] * q.shape[2], q.shape[1], q.shape[3],
                                            q.shape[2]};
    int32_t *const lists = memory_take((size_t)(2 * layout.rows), sizeof *lists, "test");
    int32_t *const intervals = memory_take((size_t)(matrix.count + 1), sizeof *intervals, "test");
    visibility_fill(lists, intervals, &matrix);
    const struct kernels_visibility visibility = {lists, intervals};
    int32_t starts[16];
    ck_assert_int_lt(q.shape[0], ARRAY_LENGTH(starts));
    for (int64_t b = 0; b <= q.shape[0]; b++) {
        starts[b] = (int32_t)(b * q.shape[2]);
    }
    const struct kernels_attention_shape shape = {
        .sequence_count = q.shape[0],
        .starts = starts,
        .heads = layout.heads,
        .head_width = layout.width,
        .kind = KERNELS_ATTENTION_VISIBLE,
        .scale = (float)(1.0 / sqrt((double)layout.width)),
        .dropout = kernels_dropout_make(0.0, (struct random_key){{0, 0}}, 0),
        .visibility = &visibility};
    attention_check(&kernels, &file, &layout, &shape);
    memory_release(lists);
    memory_release(intervals);
    golden_file_close(&file);
}
END_TEST

/* Row `row` of sequence b: [rows, B, C]. */
static float *time_first(float *values, int64_t row, int64_t b, int64_t sequences, int64_t c)
{
    return values + (row * sequences + b) * c;
}

/* Copies sequence b between [rows, B, C] and (rows, C). */
static void sequence_copy(float *golden, float *own, int64_t rows, int64_t b, int64_t sequences,
                          int64_t c, bool to_own)
{
    for (int64_t row = 0; row < rows; row++) {
        float *const a = time_first(golden, row, b, sequences, c);
        memcpy(to_own ? own + row * c : a, to_own ? a : own + row * c, (size_t)c * sizeof *own);
    }
}

/* All tensors of the golden relative attention: values first, gradients behind. */
enum { RELATIVE_Q, RELATIVE_K, RELATIVE_V, RELATIVE_R, RELATIVE_BIASES, RELATIVE_TENSORS = 8 };
static const char *const relative_names[RELATIVE_TENSORS] = {
    "q", "k", "v", "r", "r_w_bias", "r_r_bias", "r_s_bias", "seg_embed"};

struct relative {
    struct golden_file file;
    int64_t queries;
    int64_t keys;
    int64_t sequences;
    int64_t c;
    int64_t counts[RELATIVE_TENSORS]; /* rows of one sequence; elements of biases */
    float *values[RELATIVE_TENSORS];
    float *gradients[RELATIVE_TENSORS];
    float *own[RELATIVE_BIASES]; /* one sequence: (rows, C) */
    float *d_own[RELATIVE_BIASES];
    float *y;
    float *dy;
};

/* Masks and segments of the file are any matrices, so each query is a call of its own: keys that it
 * sees come before it in the order. */
static void relative_query(const struct kernels *kernels, struct relative *r, int64_t b, int64_t i,
                           struct kernels_relative_shape shape)
{
    const struct golden_tensor mask = golden_file_find(&r->file, "mask");
    const struct golden_tensor different = golden_file_find(&r->file, "different_segment");
    int32_t *const orders = memory_take((size_t)(2 * r->keys), sizeof *orders, "test");
    int32_t *const segments = orders + r->keys;
    const int32_t query_starts[] = {0, 1};
    const int32_t key_starts[] = {0, (int32_t)r->keys};
    const int32_t place = (int32_t)(r->keys - r->queries + i);
    const int32_t order = 1;
    const int32_t segment = 0;
    float log_sum[64];
    ck_assert_int_le(shape.heads, ARRAY_LENGTH(log_sum));
    float *const scratch = floats_zeroed(kernels->relative_scratch(r->keys, shape.head_width));
    for (int64_t j = 0; j < r->keys; j++) {
        const int64_t at = (i * r->keys + j) * r->sequences + b;
        orders[j] = golden_value(&mask, at) == 0.0 ? 0 : 1;
        segments[j] = (int32_t)golden_integer(&different, at);
    }
    shape.query_starts = query_starts;
    shape.key_starts = key_starts;
    shape.places = &place;
    shape.query_orders = &order;
    shape.key_orders = orders;
    shape.query_segments = &segment;
    shape.key_segments = segments;
    float *const *const own = r->own;
    float *const *const d_own = r->d_own;
    float *const *const bias = r->values + RELATIVE_BIASES;
    float *const *const d_bias = r->gradients + RELATIVE_BIASES;
    const struct kernels_relative_inputs inputs = {own[0] + i * r->c, own[1],  own[2],  own[3],
                                                   bias[0],           bias[1], bias[2], bias[3]};
    const struct kernels_relative_gradients gradients = {
        d_own[0] + i * r->c, d_own[1],  d_own[2],  d_own[3],
        d_bias[0],           d_bias[1], d_bias[2], d_bias[3]};
    kernels->relative_forward(time_first(r->y, i, b, r->sequences, r->c), log_sum, &inputs, &shape,
                              scratch);
    kernels->relative_backward(&gradients, time_first(r->dy, i, b, r->sequences, r->c), log_sum,
                               &inputs, &shape, scratch);
    memory_release(orders);
    memory_release(scratch);
}

static void relative_take(struct relative *r)
{
    const struct golden_tensor q = golden_file_find(&r->file, "q");
    r->queries = q.shape[0];
    r->keys = golden_file_find(&r->file, "k").shape[0];
    r->sequences = q.shape[1];
    r->c = q.shape[2] * q.shape[3];
    r->y = floats_zeroed(q.count);
    r->dy = floats_of(&r->file, "dy");
    for (int part = 0; part < RELATIVE_TENSORS; part++) {
        const struct golden_tensor tensor = golden_file_find(&r->file, relative_names[part]);
        r->counts[part] = tensor.shape[0];
        r->values[part] = floats_of(&r->file, relative_names[part]);
        r->gradients[part] = floats_zeroed(tensor.count);
        if (part < RELATIVE_BIASES) {
            r->own[part] = floats_zeroed(tensor.count);
            r->d_own[part] = floats_zeroed(tensor.count);
        }
    }
}

static void relative_release(struct relative *r)
{
    for (int part = 0; part < RELATIVE_TENSORS; part++) {
        memory_release(r->values[part]);
        memory_release(r->gradients[part]);
        if (part < RELATIVE_BIASES) {
            memory_release(r->own[part]);
            memory_release(r->d_own[part]);
        }
    }
    memory_release(r->y);
    memory_release(r->dy);
}

START_TEST(test_attention_relative)
{
    struct kernels kernels;
    struct relative r;
    golden_take(&kernels, &r.file, "ops/attention_relative.safetensors", _i);
    relative_take(&r);
    const struct golden_tensor q = golden_file_find(&r.file, "q");
    const struct kernels_relative_shape shape = {
        .sequence_count = 1,
        .heads = q.shape[2],
        .head_width = q.shape[3],
        .zero_row = r.keys,
        .scale = (float)(1.0 / sqrt((double)q.shape[3])),
        .dropout = kernels_dropout_make(0.0, (struct random_key){{0, 0}}, 0)};
    for (int64_t b = 0; b < r.sequences; b++) {
        for (int part = 0; part < RELATIVE_BIASES; part++) {
            sequence_copy(r.values[part], r.own[part], r.counts[part], b, r.sequences, r.c, true);
            memset(r.d_own[part], 0, (size_t)(r.counts[part] * r.c) * sizeof *r.d_own[part]);
        }
        for (int64_t i = 0; i < r.queries; i++) {
            relative_query(&kernels, &r, b, i, shape);
        }
        for (int part = 0; part < RELATIVE_BIASES; part++) {
            sequence_copy(r.gradients[part], r.d_own[part], r.counts[part], b, r.sequences, r.c,
                          false);
        }
    }
    values_check(&r.file, "y", r.y, forward_max);
    for (int part = 0; part < RELATIVE_TENSORS; part++) {
        char name[32];
        (void)snprintf(name, sizeof name, "d%s", relative_names[part]);
        values_check(&r.file, name, r.gradients[part], backward_max);
    }
    relative_release(&r);
    golden_file_close(&r.file);
}
END_TEST

static void sinusoids_check(const struct golden_file *file, const char *name, int64_t first)
{
    const struct golden_tensor table = golden_file_find(file, name);
    float *const values = floats_zeroed(table.count);
    kernels_sinusoids(values, first, 0, table.shape[0], table.shape[1]);
    values_check(file, name, values, 1e-7);
    memory_release(values);
}

START_TEST(test_relative_sinusoids)
{
    struct golden_file file;
    golden_file_open(&file, "ops/relative_sinusoids.safetensors");
    const struct golden_tensor queries = golden_file_find(&file, "qlen");
    const struct golden_tensor memory = golden_file_find(&file, "mlen");
    const int64_t keys = golden_integer(&queries, 0) + golden_integer(&memory, 0);
    sinusoids_check(&file, "bi", keys);
    sinusoids_check(&file, "uni", keys);
    float clamped[4 * 2];
    float plain[2];
    kernels_sinusoids(clamped, 2, 1, 4, 2); /* positions 1, 1, 0, -1 */
    kernels_sinusoids(plain, 1, 0, 1, 2);
    ck_assert_mem_eq(clamped, plain, sizeof plain);
    ck_assert_mem_eq(clamped + 2, plain, sizeof plain);
    ck_assert(clamped[4] == 0.0F && clamped[5] == 1.0F && clamped[6] == -plain[0]);
    golden_file_close(&file);
}
END_TEST

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop("kernels golden attention",
                          (const TTest *[]){test_attention_packed, test_attention_causal,
                                            test_attention_visible, test_attention_relative,
                                            test_relative_sinusoids, NULL},
                          2);
}
