/* kernels against the golden single operations (tests/golden/data/ops, results of another
 * implementation with float64 values from the same inputs). Relative L2 distance at most 2e-6
 * forward and 5e-6 backward; where float32 itself loses digits (LayerNorm rows that are nearly
 * constant or far from 0), at most four times the distance of the other implementation's float32
 * result. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/support/golden_file.h"
#include "tests/support/suite.h"

static const double forward_max = 2e-6;
static const double backward_max = 5e-6;

static void golden_take(struct kernels *kernels, struct golden_file *file, const char *name,
                        int loop)
{
    struct error error = {0};
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(kernels, level, &error), error);
    golden_file_open(file, name);
}

static float *floats_of(const struct golden_file *file, const char *name)
{
    const struct golden_tensor tensor = golden_file_find(file, name);
    return golden_floats(&tensor);
}

static float *floats_zeroed(int64_t count)
{
    return memory_take((size_t)count, sizeof(float), "test");
}

/* `values` against the float64 tensor NAME.f64, `row` elements at a time from element `first` on.
 */
static void rows_check(const struct golden_file *file, const char *name, const float *values,
                       int64_t first, int64_t row, double distance_max, bool relaxed)
{
    char exact_name[128];
    (void)snprintf(exact_name, sizeof exact_name, "%s.f64", name);
    const struct golden_tensor exact = golden_file_find(file, exact_name);
    double *const wanted = golden_doubles(&exact);
    float *const other = floats_of(file, name);
    for (int64_t i = first; i < exact.count; i += row) {
        const double far = golden_distance(values + i, wanted + i, row);
        const double other_far = relaxed ? 4.0 * golden_distance(other + i, wanted + i, row) : 0.0;
        ck_assert_msg(far <= fmax(distance_max, other_far), "%s, %s from element %d: distance %g",
                      file->path, name, (int)i, far);
    }
    memory_release(wanted);
    memory_release(other);
}

static void values_check(const struct golden_file *file, const char *name, const float *values,
                         double distance_max)
{
    const struct golden_tensor tensor = golden_file_find(file, name);
    rows_check(file, name, values, 0, tensor.count, distance_max, false);
}

static void layernorm_check(int loop, const char *path)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, path, loop);
    const struct golden_tensor shape = golden_file_find(&file, "x");
    const struct golden_tensor epsilon = golden_file_find(&file, "eps");
    const int64_t n = shape.shape[0];
    const int64_t c = shape.shape[1];
    float *const x = floats_of(&file, "x");
    float *const gain = floats_of(&file, "gamma");
    float *const shift = floats_of(&file, "beta");
    float *const dy = floats_of(&file, "dy");
    float *const y = floats_zeroed(n * c);
    float *const dx = floats_zeroed(n * c);
    float *const sums = floats_zeroed(2 * c);
    float *const moments = floats_zeroed(2 * n);
    kernels.residual_norm_forward(x, y, moments, moments + n, NULL, x, NULL, NULL, 1.0F, gain,
                                  shift, (float)golden_value(&epsilon, 0), n, c);
    kernels.norm_backward(dx, sums, sums + c, NULL, dy, x, moments, moments + n, gain, n, c);
    rows_check(&file, "y", y, 0, c, forward_max, true);
    rows_check(&file, "dx", dx, 0, c, backward_max, true);
    rows_check(&file, "dgamma", sums, 0, c, backward_max, true);
    rows_check(&file, "dbeta", sums + c, 0, c, backward_max, true);
    memory_release(x);
    memory_release(gain);
    memory_release(shift);
    memory_release(dy);
    memory_release(y);
    memory_release(dx);
    memory_release(sums);
    memory_release(moments);
    golden_file_close(&file);
}

START_TEST(test_layernorm)
{
    layernorm_check(_i, "ops/layernorm_eps1e-12.safetensors");
    layernorm_check(_i, "ops/layernorm_eps1e-5.safetensors");
}
END_TEST

START_TEST(test_activations)
{
    static const struct {
        const char *path;
        enum kernels_activation kind;
    } files[] = {{"ops/gelu_erf.safetensors", KERNELS_ACTIVATION_GELU},
                 {"ops/gelu_tanh.safetensors", KERNELS_ACTIVATION_GELU_TANH},
                 {"ops/relu.safetensors", KERNELS_ACTIVATION_RELU},
                 {"ops/tanh.safetensors", KERNELS_ACTIVATION_TANH}};
    for (int64_t i = 0; i < ARRAY_LENGTH(files); i++) {
        struct kernels kernels;
        struct golden_file file;
        golden_take(&kernels, &file, files[i].path, _i);
        const int64_t count = golden_file_find(&file, "x").count;
        float *const x = floats_of(&file, "x");
        float *const dy = floats_of(&file, "dy");
        float *const y = floats_zeroed(count);
        kernels.activation_forward(y, x, NULL, files[i].kind, 1, count);
        kernels.activation_backward(dy, dy, x, files[i].kind, 1, count);
        values_check(&file, "y", y, forward_max);
        values_check(&file, "dx", dy, backward_max);
        memory_release(x);
        memory_release(dy);
        memory_release(y);
        golden_file_close(&file);
    }
}
END_TEST

/* Softmax is what the gradient gives back with the target's 1 added; -log softmax of the target is
 * the loss. */
START_TEST(test_softmax)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/softmax.safetensors", _i);
    const struct golden_tensor shape = golden_file_find(&file, "x");
    const struct golden_tensor logs = golden_file_find(&file, "log_y.f64");
    const int64_t n = shape.shape[0];
    const int64_t v = shape.shape[1];
    for (int32_t target = 0; target < v; target++) {
        float *const x = floats_of(&file, "x");
        for (int64_t i = 0; i < n; i++) {
            double loss = 0;
            int64_t correct = 0;
            kernels.softmax_cross_entropy(x + i * v, NULL, &target, 1.0F, &loss, &correct, 1, v);
            const double wanted = -golden_value(&logs, i * v + target);
            ck_assert_double_le(fabs(loss - wanted), 1e-6 * fmax(1.0, wanted));
            x[i * v + target] += 1.0F;
        }
        values_check(&file, "y", x, forward_max);
        memory_release(x);
    }
    golden_file_close(&file);
}
END_TEST

START_TEST(test_cross_entropy)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/cross_entropy.safetensors", _i);
    const struct golden_tensor shape = golden_file_find(&file, "x");
    const struct golden_tensor labels = golden_file_find(&file, "labels");
    const struct golden_tensor sum = golden_file_find(&file, "sum_y.f64");
    const int64_t v = shape.shape[1];
    float *const x = floats_of(&file, "x");
    float *const dx = floats_zeroed(shape.count);
    double loss = 0;
    int64_t correct = 0;
    for (int64_t i = 0; i < labels.count; i++) {
        const int32_t label = (int32_t)golden_integer(&labels, i);
        if (label != -100) {
            memcpy(dx + i * v, x + i * v, (size_t)v * sizeof *dx);
            kernels.softmax_cross_entropy(dx + i * v, NULL, &label, 1.0F, &loss, &correct, 1, v);
        }
    }
    values_check(&file, "sum_dx", dx, backward_max);
    ck_assert_double_le(fabs(loss - golden_value(&sum, 0)), 1e-6 * golden_value(&sum, 0));
    memory_release(x);
    memory_release(dx);
    golden_file_close(&file);
}
END_TEST

START_TEST(test_linear)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/linear.safetensors", _i);
    const struct golden_tensor shape = golden_file_find(&file, "weight");
    const int64_t n = golden_file_find(&file, "x").shape[0];
    const int64_t out = shape.shape[0];
    const int64_t in = shape.shape[1];
    float *const x = floats_of(&file, "x");
    float *const weight = floats_of(&file, "weight");
    float *const bias = floats_of(&file, "bias");
    float *const dy = floats_of(&file, "dy");
    float *const y = floats_zeroed(n * out);
    float *const dx = floats_zeroed(n * in);
    float *const d_weight = floats_zeroed(out * in);
    float *const d_bias = floats_zeroed(out);
    kernels.matmul(false, true, n, out, in, 1.0F, x, in, weight, in, 0.0F, y, out);
    kernels.bias_forward(y, bias, n, out);
    kernels.matmul(false, false, n, in, out, 1.0F, dy, out, weight, in, 0.0F, dx, in);
    kernels.matmul(true, false, out, in, n, 1.0F, dy, out, x, in, 0.0F, d_weight, in);
    kernels.bias_backward(d_bias, dy, n, out);
    values_check(&file, "y", y, forward_max);
    values_check(&file, "dx", dx, backward_max);
    values_check(&file, "dweight", d_weight, backward_max);
    values_check(&file, "dbias", d_bias, backward_max);
    float *const all[] = {x, weight, bias, dy, y, dx, d_weight, d_bias};
    for (int64_t i = 0; i < ARRAY_LENGTH(all); i++) {
        memory_release(all[i]);
    }
    golden_file_close(&file);
}
END_TEST

START_TEST(test_embedding)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/embedding.safetensors", _i);
    const struct golden_tensor shape = golden_file_find(&file, "table");
    const struct golden_tensor labels = golden_file_find(&file, "ids");
    const int64_t c = shape.shape[1];
    int32_t *const ids = golden_int32s(&labels);
    float *const table = floats_of(&file, "table");
    float *const dy = floats_of(&file, "dy");
    float *const y = floats_zeroed(labels.count * c);
    float *const d_table = floats_zeroed(shape.count);
    float *const d_padded = floats_zeroed(shape.count);
    kernels.embedding_forward(y, table, NULL, NULL, ids, NULL, NULL, 0, labels.count, c);
    kernels.embedding_backward(d_table, NULL, NULL, dy, ids, NULL, NULL, 0, -1, labels.count, c);
    kernels.embedding_backward(d_padded, NULL, NULL, dy, ids, NULL, NULL, 0, 1, labels.count, c);
    values_check(&file, "y", y, 0.0);
    values_check(&file, "dtable", d_table, backward_max);
    values_check(&file, "dtable_padding_idx_1", d_padded, backward_max);
    memory_release(ids);
    memory_release(table);
    memory_release(dy);
    memory_release(y);
    memory_release(d_table);
    memory_release(d_padded);
    golden_file_close(&file);
}
END_TEST

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

/* Six steps of one tensor; `result` is compared after each, the moments at the end. */
static void adamw_tensor_check(const struct kernels *kernels, const struct golden_file *file,
                               const char *tensor, struct kernels_adamw options)
{
    const struct golden_tensor rates = golden_file_find(file, "lr");
    char name[64];
    (void)snprintf(name, sizeof name, "p0.%s", tensor);
    const int64_t count = golden_file_find(file, name).count;
    float *const weights = floats_of(file, name);
    float *const first = floats_zeroed(count);
    float *const second = floats_zeroed(count);
    for (int step = 1; step <= rates.count; step++) {
        (void)snprintf(name, sizeof name, "g%d.%s", step, tensor);
        float *const gradient = floats_of(file, name);
        options.rate = golden_value(&rates, step - 1);
        options.correction1 = 1.0 / (1.0 - pow(options.beta1, step));
        options.correction2 = 1.0 / (1.0 - pow(options.beta2, step));
        kernels->adamw(weights, first, second, gradient, &options, count);
        (void)snprintf(name, sizeof name, "p%d.%s", step, tensor);
        values_check(file, name, weights, forward_max);
        memory_release(gradient);
    }
    (void)snprintf(name, sizeof name, "m6.%s", tensor);
    values_check(file, name, first, forward_max);
    (void)snprintf(name, sizeof name, "v6.%s", tensor);
    values_check(file, name, second, forward_max);
    memory_release(weights);
    memory_release(first);
    memory_release(second);
}

static void adamw_check(int loop, const char *path, double beta2, double epsilon)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, path, loop);
    struct kernels_adamw options = {
        .beta1 = 0.9, .beta2 = beta2, .epsilon = epsilon, .gradient_scale = 1.0};
    adamw_tensor_check(&kernels, &file, "LayerNorm.weight", options);
    adamw_tensor_check(&kernels, &file, "layer.bias", options);
    options.weight_decay = 0.1;
    adamw_tensor_check(&kernels, &file, "weight", options);
    golden_file_close(&file);
}

START_TEST(test_adamw)
{
    adamw_check(_i, "ops/adamw_roberta.safetensors", 0.98, 1e-6);
    adamw_check(_i, "ops/adamw_default.safetensors", 0.999, 1e-8);
}
END_TEST

START_TEST(test_gradient_norm)
{
    static const char *const names[] = {"g.0", "g.1", "g.2"};
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, "ops/clip_grad_norm.safetensors", _i);
    const struct golden_tensor norm = golden_file_find(&file, "active.norm.f64");
    double sum = 0;
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        float *const values = floats_of(&file, names[i]);
        sum += kernels.square_sum(values, golden_file_find(&file, names[i]).count);
        memory_release(values);
    }
    ck_assert_double_le(fabs(sqrt(sum) / golden_value(&norm, 0) - 1.0), 1e-12);
    golden_file_close(&file);
}
END_TEST

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop("kernels golden operations",
                          (const TTest *[]){test_layernorm, test_activations, test_softmax,
                                            test_cross_entropy, test_linear, test_embedding,
                                            test_attention_packed, test_attention_causal,
                                            test_adamw, test_gradient_norm, NULL},
                          2);
}
