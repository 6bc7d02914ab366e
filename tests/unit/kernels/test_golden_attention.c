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

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop("kernels golden attention",
                          (const TTest *[]){test_attention_packed, test_attention_causal,
                                            test_attention_visible, NULL},
                          2);
}
