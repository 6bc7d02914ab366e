/* The recorded training runs of a folder: the same steps of AdamW and LAMB on the same batch, the
 * parameters compared with those of the reference. Tolerances: shared/golden/README.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "tests/golden/golden_run.h"
#include "tests/support/suite.h"

static const double step_largest = 5e-3; /* times the sum of learning rates */
static const double step_relative = 1e-5;
static const double noise_factor = 5; /* of the reference's own rounding noise, in case.json */

/* The recorded training run of case.json. */
struct trace {
    const char *optimizer; /* "adamw" or "lamb": its member of case.json, and its file */
    const json_t *object;
    const json_t *rates;
    const json_t *noise;
    struct kernels_adamw options;
    double beta1, beta2;
    double weight_decay;
    double norm_max; /* 0: no clipping */
};

static double trace_real(const json_t *object, const char *key)
{
    struct error error = {0};
    double value = 0;
    CHECK_OK(json_member_real(object, key, "case.json: training", &value, &error), error);
    return value;
}

static struct trace trace_read(const struct golden_case *golden, const char *optimizer)
{
    struct error error = {0};
    struct trace trace = {0};
    json_t *training = NULL;
    json_t *object = NULL;
    json_t *betas = NULL;
    json_t *rates = NULL;
    json_t *noise = NULL;
    CHECK_OK(json_member_object(golden->description, "training", "case.json", &training, &error),
             error);
    CHECK_OK(json_member_object(training, optimizer, "case.json", &object, &error), error);
    CHECK_OK(json_member_array(object, "betas", "case.json", &betas, &error), error);
    CHECK_OK(json_member_array(object, "lr", "case.json", &rates, &error), error);
    CHECK_OK(json_member_object(object, "float32_noise_over_lr_sum", "case.json", &noise, &error),
             error);
    trace.optimizer = optimizer;
    trace.object = object;
    trace.rates = rates;
    trace.noise = json_object_get(noise, "per_parameter");
    trace.beta1 = json_number_value(json_array_get(betas, 0));
    trace.beta2 = json_number_value(json_array_get(betas, 1));
    ck_assert_msg(trace.beta1 > 0 && trace.beta2 > 0, "%s: betas", golden->folder);
    trace.weight_decay = trace_real(object, "weight_decay");
    trace.norm_max = trace_real(object, "max_grad_norm");
    trace.options = (struct kernels_adamw){
        .beta1 = trace.beta1, .beta2 = trace.beta2, .epsilon = trace_real(object, "eps")};
    return trace;
}

static bool trace_saves(const struct trace *trace, int64_t step)
{
    const json_t *const saved = json_object_get(trace->object, "steps_saved");
    size_t i;
    const json_t *entry;
    json_array_foreach(saved, i, entry)
    {
        if (json_integer_value(entry) == step) {
            return true;
        }
    }
    return false;
}

/* torch's LAMB on one tensor: the trust ratio, like decay, only where decay applies. */
static void lamb_apply_tensor(const struct run *run, const struct kernels_adamw *options,
                              const struct parameter *row, float *first, float *second,
                              float *direction)
{
    float *const weights = run->golden.weights + row->offset;
    run->kernels.lamb_moments(first + row->offset, second + row->offset,
                              run->gradient + row->offset, options, row->count);
    run->kernels.lamb_direction(direction, weights, first + row->offset, second + row->offset,
                                options, row->count);
    const double trust = row->decays
                             ? kernels_trust_ratio(run->kernels.square_sum(weights, row->count),
                                                   run->kernels.square_sum(direction, row->count))
                             : 1.0;
    run->kernels.lamb_apply(weights, direction, options->rate * trust, row->count);
}

/* What a run of an optimizer keeps, each in the flat space. */
struct moments {
    float *first;
    float *second;
    float *direction; /* LAMB's scratch */
};

/* The reference takes no step on what the loss does not reach, not even decay. */
static bool trace_reaches(const struct run *run, const char *name)
{
    const json_t *const unreached =
        json_object_get(run->golden.description, "parameters_without_gradient");
    size_t i;
    const json_t *entry;
    json_array_foreach(unreached, i, entry)
    {
        if (strcmp(json_string_value(entry), name) == 0) {
            return false;
        }
    }
    return true;
}

/* The gradient goes through the exact sums, as it does in training. */
static void adamw_apply_tensor(const struct run *run, const struct kernels_adamw *options,
                               const struct parameter *row, const struct moments *moments)
{
    enum { FRACTION_BITS = 54, LIMIT_BITS = 8 };
    const struct kernels_state state = {run->golden.weights + row->offset,
                                        moments->first + row->offset,
                                        moments->second + row->offset};
    float *const exact = memory_take((size_t)row->count, sizeof *exact, "exact gradient");
    double squares;
    INVARIANT(run->kernels.fixed_point_finish(exact, &squares, NULL, run->gradient + row->offset,
                                              FRACTION_BITS, LIMIT_BITS, row->count));
    run->kernels.adamw(&state, &state, exact, options, row->count);
    memory_release(exact);
}

/* One step on every tensor that the loss reaches. */
static void trace_step(struct run *run, const struct trace *trace, int64_t step,
                       const struct moments *moments)
{
    const struct parameter_table *const table = &run->golden.table;
    struct kernels_adamw options = trace->options;
    options.rate = json_number_value(json_array_get(trace->rates, (size_t)(step - 1)));
    options.correction1 = 1.0 / (1.0 - pow(trace->beta1, (double)step));
    options.correction2 = 1.0 / (1.0 - pow(trace->beta2, (double)step));
    options.gradient_scale = 1.0;
    if (trace->norm_max > 0) {
        const double norm = sqrt(run->kernels.square_sum(run->gradient, table->element_count));
        options.gradient_scale = fmin(1.0, trace->norm_max / (norm + 1e-6));
    }
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        if (!trace_reaches(run, row->name)) {
            continue;
        }
        options.weight_decay = row->decays ? trace->weight_decay : 0.0;
        if (strcmp(trace->optimizer, "lamb") == 0) {
            lamb_apply_tensor(run, &options, row, moments->first, moments->second,
                              moments->direction);
        } else {
            adamw_apply_tensor(run, &options, row, moments);
        }
    }
}

static void compare_step(struct run *run, const struct golden_file *file, const struct trace *trace,
                         int64_t step, double rate_sum)
{
    const struct parameter_table *const table = &run->golden.table;
    struct difference all = {0};
    double worst_share = -1;
    double worst_largest = 0;
    const char *worst_name = "none";
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        char name[PARAMETER_NAME_BYTES + 32];
        (void)snprintf(name, sizeof name, "step%d.%s", (int)step, row->name);
        const struct golden_tensor tensor = golden_file_find(file, name);
        ck_assert_int_eq(tensor.count, row->count);
        struct difference one = {0};
        for (int64_t j = 0; j < row->count; j++) {
            const double value = (double)run->golden.weights[row->offset + j];
            difference_add(&one, value, golden_value(&tensor, j));
            difference_add(&all, value, golden_value(&tensor, j));
        }
        const double noise = json_number_value(json_object_get(trace->noise, row->name));
        const double share = one.largest / (fmax(step_largest, noise_factor * noise) * rate_sum);
        if (!(share <= worst_share)) {
            worst_share = share;
            worst_largest = one.largest;
            worst_name = row->name;
        }
    }
    const double relative = difference_relative(&all);
    const double allowed =
        fmax(step_relative, noise_factor * trace_real(trace->object, "float32_noise_rel_l2"));
    char group[32];
    (void)snprintf(group, sizeof group, "%s step %d", trace->optimizer, (int)step);
    report(run, group, relative <= allowed && worst_share <= 1,
           "relative %.1e (allowed %.0e)  largest %.1e (allowed %.1e), %s", relative, allowed,
           worst_largest, worst_largest / worst_share, worst_name);
}

static void check_trace(struct run *run, const char *optimizer)
{
    const int64_t elements = run->golden.table.element_count;
    const struct trace trace = trace_read(&run->golden, optimizer);
    struct golden_file file;
    char name[64];
    (void)snprintf(name, sizeof name, "%s.safetensors", optimizer);
    golden_case_file(&run->golden, name, &file);
    const struct moments moments = {
        .first = memory_take((size_t)elements, sizeof(float), "moments"),
        .second = memory_take((size_t)elements, sizeof(float), "moments"),
        .direction = memory_take((size_t)elements, sizeof(float), "moments")};
    double rate_sum = 0;
    const int64_t steps = (int64_t)json_array_size(trace.rates);
    ck_assert_msg(steps >= 1 && steps <= GOLDEN_STEPS_MAX, "%s: learning rates",
                  run->golden.folder);
    for (int64_t step = 1; step <= steps; step++) {
        (void)golden_run_backward(run);
        trace_step(run, &trace, step, &moments);
        rate_sum += json_number_value(json_array_get(trace.rates, (size_t)(step - 1)));
        if (trace_saves(&trace, step)) {
            compare_step(run, &file, &trace, step, rate_sum);
        }
    }
    memory_release(moments.direction);
    memory_release(moments.second);
    memory_release(moments.first);
    golden_file_close(&file);
}

void golden_run_traces(struct run *run)
{
    static const char *const optimizers[] = {"adamw", "lamb"};
    const size_t bytes = (size_t)run->golden.table.element_count * sizeof(float);
    const json_t *const training = json_object_get(run->golden.description, "training");
    float *const weights = memory_take(bytes, 1, "weights");
    memcpy(weights, run->golden.weights, bytes);
    for (int64_t i = 0; i < ARRAY_LENGTH(optimizers); i++) {
        if (json_object_get(training, optimizers[i]) != NULL) {
            check_trace(run, optimizers[i]);
            memcpy(run->golden.weights, weights, bytes);
        }
    }
    memory_release(weights);
}
