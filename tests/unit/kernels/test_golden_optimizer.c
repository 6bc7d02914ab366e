/* kernels against the golden traces of optimizers, six steps each, and the norm that clipping
 * needs. */
#include "tests/unit/kernels/golden_kernels.h"

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
    return suite_run_loop("kernels golden optimizers",
                          (const TTest *[]){test_adamw, test_gradient_norm, NULL}, 2);
}
