/* kernels against the golden single operations: norm, activations, softmax and its loss, linear
 * layers, embedding. */
#include "tests/unit/kernels/golden_kernels.h"

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
        float *const d_bias = floats_zeroed(count);
        kernels.activation_forward(y, x, x, NULL, files[i].kind, 1, count);
        kernels.activation_backward(dy, d_bias, dy, x, 1, count);
        values_check(&file, "y", y, forward_max);
        values_check(&file, "dx", dy, backward_max);
        values_check(&file, "dx", d_bias, backward_max);
        memory_release(d_bias);
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
    kernels.matmul(n, out, in, 1.0F, matrix_of(x, in), matrix_transposed(weight, in), 0.0F, y, out);
    kernels.bias_forward(y, bias, n, out);
    kernels.matmul(n, in, out, 1.0F, matrix_of(dy, out), matrix_of(weight, in), 0.0F, dx, in);
    kernels.matmul(out, in, n, 1.0F, matrix_transposed(dy, out), matrix_of(x, in), 0.0F, d_weight,
                   in);
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

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop("kernels golden operations",
                          (const TTest *[]){test_layernorm, test_activations, test_softmax,
                                            test_cross_entropy, test_linear, test_embedding, NULL},
                          2);
}
