/* kernels against the golden traces of optimizers, six steps each, and the norm that clipping
 * needs. */
#include "tests/unit/kernels/golden_kernels.h"

static const struct {
    const char *name;
    bool decays;
} tensors[] = {{"weight", true}, {"layer.bias", false}, {"LayerNorm.weight", false}};

/* One tensor on its way through a trace. */
struct trace {
    const struct kernels *kernels;
    const struct golden_file *file;
    const char *tensor;
    struct kernels_adamw options;
    bool corrects; /* bias correction */
    bool adapts;   /* LAMB: trust ratio */
    int64_t count;
    float *weights;
    float *first;
    float *second;
};

typedef void (*trace_step)(const struct trace *trace, const float *gradient, int step);

static void adamw_step(const struct trace *trace, const float *gradient, int step)
{
    enum { FRACTION_BITS = 54, LIMIT_BITS = 8 };
    const struct kernels_state state = {trace->weights, trace->first, trace->second};
    float *const exact = memory_take((size_t)trace->count, sizeof *exact, "test");
    double squares;
    (void)step;
    ck_assert(trace->kernels->fixed_point_finish(exact, &squares, NULL, gradient, FRACTION_BITS,
                                                 LIMIT_BITS, trace->count));
    trace->kernels->adamw(&state, &state, exact, &trace->options, trace->count);
    memory_release(exact);
}

/* In blocks of 8 elements, as a trainer that owns parts of a tensor does it. */
static void lamb_step(const struct trace *trace, const float *gradient, int step)
{
    enum { BLOCK = 8 };
    const struct kernels *const kernels = trace->kernels;
    float direction[BLOCK];
    double weights_sum = 0;
    double direction_sum = 0;
    for (int64_t i = 0; i < trace->count; i += BLOCK) {
        const int64_t count = trace->count - i < BLOCK ? trace->count - i : BLOCK;
        kernels->lamb_moments(trace->first + i, trace->second + i, gradient + i, &trace->options,
                              count);
        kernels->lamb_direction(direction, trace->weights + i, trace->first + i, trace->second + i,
                                &trace->options, count);
        weights_sum += kernels->square_sum(trace->weights + i, count);
        direction_sum += kernels->square_sum(direction, count);
    }
    const double trust = trace->adapts ? kernels_trust_ratio(weights_sum, direction_sum) : 1.0;
    char name[64];
    (void)snprintf(name, sizeof name, "trust%d.%s.f64", step, trace->tensor);
    const struct golden_tensor wanted = golden_file_find(trace->file, name);
    ck_assert_double_le(fabs(trust / golden_value(&wanted, 0) - 1.0), forward_max);
    for (int64_t i = 0; i < trace->count; i += BLOCK) {
        const int64_t count = trace->count - i < BLOCK ? trace->count - i : BLOCK;
        kernels->lamb_direction(direction, trace->weights + i, trace->first + i, trace->second + i,
                                &trace->options, count);
        kernels->lamb_apply(trace->weights + i, direction, trace->options.rate * trust, count);
    }
}

/* All steps; weights are compared after each, moments at the end where the file has them. */
static void trace_check(struct trace *trace, trace_step apply)
{
    const struct golden_tensor rates = golden_file_find(trace->file, "lr");
    char name[64];
    (void)snprintf(name, sizeof name, "p0.%s", trace->tensor);
    trace->count = golden_file_find(trace->file, name).count;
    trace->weights = floats_of(trace->file, name);
    trace->first = floats_zeroed(trace->count);
    trace->second = floats_zeroed(trace->count);
    for (int step = 1; step <= rates.count; step++) {
        (void)snprintf(name, sizeof name, "g%d.%s", step, trace->tensor);
        float *const gradient = floats_of(trace->file, name);
        struct kernels_adamw *const options = &trace->options;
        options->rate = golden_value(&rates, step - 1);
        options->correction1 = trace->corrects ? 1.0 / (1.0 - pow(options->beta1, step)) : 1.0;
        options->correction2 = trace->corrects ? 1.0 / (1.0 - pow(options->beta2, step)) : 1.0;
        apply(trace, gradient, step);
        (void)snprintf(name, sizeof name, "p%d.%s", step, trace->tensor);
        values_check(trace->file, name, trace->weights, forward_max);
        memory_release(gradient);
    }
    (void)snprintf(name, sizeof name, "m6.%s", trace->tensor);
    if (golden_file_has(trace->file, name)) {
        values_check(trace->file, name, trace->first, forward_max);
        (void)snprintf(name, sizeof name, "v6.%s", trace->tensor);
        values_check(trace->file, name, trace->second, forward_max);
    }
    memory_release(trace->weights);
    memory_release(trace->first);
    memory_release(trace->second);
}

static void adamw_check(int loop, const char *path, double beta2, double epsilon, bool corrects)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, path, loop);
    for (int64_t i = 0; i < ARRAY_LENGTH(tensors); i++) {
        struct trace trace = {.kernels = &kernels,
                              .file = &file,
                              .tensor = tensors[i].name,
                              .corrects = corrects,
                              .options = {.beta1 = 0.9,
                                          .beta2 = beta2,
                                          .epsilon = epsilon,
                                          .weight_decay = tensors[i].decays ? 0.1 : 0.0,
                                          .gradient_scale = 1.0}};
        trace_check(&trace, adamw_step);
    }
    golden_file_close(&file);
}

START_TEST(test_adamw)
{
    adamw_check(_i, "ops/adamw_roberta.safetensors", 0.98, 1e-6, true);
    adamw_check(_i, "ops/adamw_default.safetensors", 0.999, 1e-8, true);
}
END_TEST

START_TEST(test_adamw_without_bias_correction_is_that_of_the_original_bert)
{
    adamw_check(_i, "ops/adamw_bert_original.safetensors", 0.999, 1e-6, false);
}
END_TEST

static void lamb_check(int loop, const char *path, bool corrects, bool adapts_all)
{
    struct kernels kernels;
    struct golden_file file;
    golden_take(&kernels, &file, path, loop);
    for (int64_t i = 0; i < ARRAY_LENGTH(tensors); i++) {
        struct trace trace = {.kernels = &kernels,
                              .file = &file,
                              .tensor = tensors[i].name,
                              .corrects = corrects,
                              .adapts = adapts_all || tensors[i].decays,
                              .options = {.beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .epsilon = 1e-6,
                                          .weight_decay = tensors[i].decays ? 0.1 : 0.0,
                                          .gradient_scale = 1.0}};
        trace_check(&trace, lamb_step);
    }
    golden_file_close(&file);
}

START_TEST(test_lamb)
{
    lamb_check(_i, "ops/lamb_paper.safetensors", true, false);
    lamb_check(_i, "ops/lamb_adapt_all.safetensors", true, true);
    lamb_check(_i, "ops/lamb_no_bias_correction.safetensors", false, false);
}
END_TEST

START_TEST(test_the_trust_ratio_of_a_tensor_of_zeros_is_one)
{
    ck_assert_double_eq(kernels_trust_ratio(0.0, 4.0), 1.0);
    ck_assert_double_eq(kernels_trust_ratio(4.0, 0.0), 1.0);
    ck_assert_double_eq(kernels_trust_ratio(4.0, 16.0), 0.5);
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
    return suite_run_loop(
        "kernels golden optimizers",
        (const TTest *[]){
            test_adamw, test_adamw_without_bias_correction_is_that_of_the_original_bert, test_lamb,
            test_the_trust_ratio_of_a_tensor_of_zeros_is_one, test_gradient_norm, NULL},
        2);
}
