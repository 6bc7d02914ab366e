/* golden [--level reference|avx2|avx512] [--parts N] DIR…: runs our model on folders of reference
 * data and compares the loss, logits, hidden states, every gradient and five steps of AdamW and
 * LAMB with what the reference library computed.
 *
 * One line for each group of tensors: the folder, the group, what was measured and what is allowed.
 * Exits non-zero if anything misses its tolerance or a folder cannot be read. A family that is not
 * built yet is reported and skipped, and with --parts (numerics.tensor_parts) a network that cannot
 * be cut so, as are the optimizers' steps. Tolerances: shared/golden/README.md. "relative" is |a -
 * b| / |b| in L2, "largest" the largest absolute difference. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tests/golden/golden_run.h"
#include "tests/golden/golden_xlnet.h"
#include "tests/support/suite.h"

static const double loss_largest = 1e-5;
static const double output_relative = 1e-5;
static const double output_largest = 1e-4;
static const double gradient_all_relative = 1e-5;
static const double gradient_one_relative = 1e-4;
static const double gradient_one_largest = 1e-6;

/* Set by main before the tests run. */
static char **folders;
static enum kernels_level level;
static struct model_role role = {.trains = true};

void golden_run_compare(struct run *run, const char *group, const struct difference *difference)
{
    const double relative = difference_relative(difference);
    report(run, group, relative <= output_relative && difference->largest <= output_largest,
           "relative %.1e (allowed %.0e)  largest %.1e (allowed %.0e)", relative, output_relative,
           difference->largest, output_largest);
}

/* Compares (N, width) with a reference tensor (B, T, width) where there are tokens. */
static void compare_rows(struct run *run, const struct golden_file *file, const char *name,
                         const char *group, const float *values, int64_t width)
{
    const struct golden_case *const golden = &run->golden;
    const struct golden_tensor tensor = golden_file_find(file, name);
    ck_assert_msg(tensor.count == golden->padded_row_count * width, "%s: shape of \"%s\"",
                  golden->folder, name);
    struct difference difference = {0};
    for (int64_t row = 0; row < golden->every.token_count; row++) {
        for (int64_t i = 0; i < width; i++) {
            difference_add(&difference, (double)values[row * width + i],
                           golden_value(&tensor, golden->source_rows[row] * width + i));
        }
    }
    golden_run_compare(run, group, &difference);
}

/* The next-sentence or sentence-order head, where there is one. */
static void check_sequence_logits(struct run *run, const struct golden_file *file)
{
    static const char *const names[] = {"outputs.seq_relationship_logits", "outputs.sop_logits"};
    struct error error = {0};
    const struct batch *const batch = &run->golden.every;
    const int64_t count = batch->sequence_count * 2;
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (!golden_file_has(file, names[i])) {
            continue;
        }
        const struct golden_tensor tensor = golden_file_find(file, names[i]);
        ck_assert_int_eq(tensor.count, count);
        float *const logits = memory_take((size_t)count, sizeof *logits, "logits");
        CHECK_OK(model_sequence_logits(run->model, run->golden.weights, batch, logits, &error),
                 error);
        struct difference difference = {0};
        for (int64_t j = 0; j < count; j++) {
            difference_add(&difference, (double)logits[j], golden_value(&tensor, j));
        }
        golden_run_compare(run, "sequence logits", &difference);
        memory_release(logits);
    }
}

static void check_outputs(struct run *run)
{
    struct error error = {0};
    const struct golden_case *const golden = &run->golden;
    const int64_t c = golden->options.hidden;
    const int64_t v = golden->options.vocabulary;
    struct golden_file file;
    golden_case_file(golden, "case.safetensors", &file);

    float *const logits =
        memory_take((size_t)(golden->every.target_count * v), sizeof *logits, "logits");
    CHECK_OK(model_logits(run->model, golden->weights, &golden->every, logits, &error), error);
    compare_rows(run, &file, "outputs.logits", "logits", logits, v);
    memory_release(logits);

    check_sequence_logits(run, &file);

    float *const hidden =
        memory_take((size_t)(golden->every.token_count * c), sizeof *hidden, "hidden");
    for (int64_t layer = 0; layer <= golden->options.layers; layer++) {
        char name[64];
        (void)snprintf(name, sizeof name, "outputs.hidden_states.%d", (int)layer);
        CHECK_OK(model_hidden(run->model, golden->weights, &golden->every, layer, hidden, &error),
                 error);
        compare_rows(run, &file, name, name + strlen("outputs."), hidden, c);
    }
    memory_release(hidden);
    golden_file_close(&file);
}

static enum status gradient_keep(void *context, int64_t group, const float *gradient,
                                 struct error *error)
{
    const struct run *const run = context;
    const struct parameter_group *const place = &run->golden.table.groups[group];
    (void)error;
    memcpy(run->gradient + place->offset, gradient, (size_t)place->count * sizeof *gradient);
    return STATUS_OK;
}

/* The reference's loss: the sum of each head's mean. */
static double result_loss(const struct model_result *result)
{
    double loss = result->loss_sum / (double)result->target_count;
    if (result->sequence_count > 0) {
        loss += result->sequence_loss_sum / (double)result->sequence_count;
    }
    if (result->span_count > 0) {
        loss += result->span_loss_sum / (double)result->span_count;
    }
    return loss;
}

double golden_run_backward(struct run *run)
{
    struct error error = {0};
    struct model_result result;
    const struct gradient_sink sink = {gradient_keep, run};
    const double targets = (double)run->golden.masked.target_count;
    ck_assert_msg(targets > 0, "%s: nothing is predicted", run->golden.folder);
    CHECK_OK(model_train(run->model, run->golden.weights, &run->golden.masked,
                         (float)(1.0 / targets), &sink, &result, &error),
             error);
    return result_loss(&result);
}

static void check_loss(struct run *run)
{
    struct error error = {0};
    struct golden_file file;
    golden_case_file(&run->golden, "case.safetensors", &file);
    const struct golden_tensor tensor = golden_file_find(&file, "outputs.loss_f64");
    const double expected = golden_value(&tensor, 0);
    golden_file_close(&file);
    const double loss = golden_run_backward(run);
    report(run, "loss", fabs(loss - expected) <= loss_largest, "%.7f, largest %.1e (allowed %.0e)",
           loss, fabs(loss - expected), loss_largest);
    struct model_result result;
    CHECK_OK(model_evaluate(run->model, run->golden.weights, &run->golden.masked, &result, &error),
             error);
    const double evaluated = result_loss(&result);
    report(run, "loss, evaluated", fabs(evaluated - expected) <= loss_largest,
           "%.7f, largest %.1e (allowed %.0e)", evaluated, fabs(evaluated - expected),
           loss_largest);
}

static void check_gradients(struct run *run)
{
    const struct parameter_table *const table = &run->golden.table;
    struct golden_file file;
    golden_case_file(&run->golden, "grads.safetensors", &file);
    struct difference all = {0};
    struct difference worst = {0};
    const char *worst_name = "none";
    double worst_share = -1;
    for (int64_t i = 0; i < table->row_count; i++) {
        const struct parameter *const row = &table->rows[i];
        const struct golden_tensor tensor = golden_file_find(&file, row->name);
        ck_assert_int_eq(tensor.count, row->count);
        struct difference one = {0};
        for (int64_t j = 0; j < row->count; j++) {
            const double value = (double)run->gradient[row->offset + j];
            difference_add(&one, value, golden_value(&tensor, j));
            difference_add(&all, value, golden_value(&tensor, j));
        }
        /* one of the two tolerances is enough */
        const double share = fmin(difference_relative(&one) / gradient_one_relative,
                                  one.largest / gradient_one_largest);
        if (!(share <= worst_share)) {
            worst_share = share;
            worst = one;
            worst_name = row->name;
        }
    }
    golden_file_close(&file);
    const double relative = difference_relative(&all);
    report(run, "all gradients", relative <= gradient_all_relative, "relative %.1e (allowed %.0e)",
           relative, gradient_all_relative);
    report(run, "worst gradient", worst_share <= 1,
           "relative %.1e (allowed %.0e) or largest %.1e (allowed %.0e), %s",
           difference_relative(&worst), gradient_one_relative, worst.largest, gradient_one_largest,
           worst_name);
}

static void run_folder(const char *folder)
{
    struct error error = {0};
    struct run run = {0};
    golden_case_open(&run.golden, folder);
    if (model_role_check(&run.golden.options, &role, &error) != STATUS_OK) {
        (void)printf("%-24s skipped: %s\n", path_name(folder), error.message);
        (void)fflush(stdout);
        golden_case_close(&run.golden);
        return;
    }
    CHECK_OK(kernels_open(&run.kernels, level, &error), error);
    const int64_t tokens = run.golden.every.token_count;
    const struct batch_limits limits = {run.golden.every.sequence_count, tokens, tokens};
    CHECK_OK(model_open(&run.model, &run.kernels, &run.golden.options, &limits, &role, &error),
             error);
    run.gradient =
        memory_take((size_t)run.golden.table.element_count, sizeof *run.gradient, "gradient");
    check_loss(&run);
    if (run.golden.options.family == MODEL_FAMILY_XLNET) {
        golden_xlnet_check(&run);
    } else {
        check_outputs(&run);
    }
    check_gradients(&run);
    if (role.tensor_parts <=
        1) { /* first steps of Adam blow up rounding, which is another in parts */
        golden_run_traces(&run);
    }
    memory_release(run.gradient);
    model_close(run.model);
    golden_case_close(&run.golden);
    ck_assert_msg(!run.missed, "%s: a tolerance was missed", folder);
}

START_TEST(test_model_agrees_with_the_reference)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s", folders[_i]);
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--) {
        path[end - 1] = '\0';
    }
    char name[GOLDEN_CLASS_BYTES];
    golden_class(path, name);
    if (golden_class_is_planned(name)) {
        (void)printf("%-24s skipped: family %s is not built yet\n", path_name(path), name);
        (void)fflush(stdout);
        return;
    }
    if (!golden_trains(path)) {
        (void)printf("%-24s skipped: not about training\n", path_name(path));
        (void)fflush(stdout);
        return;
    }
    ck_assert_msg(golden_class_is_built(name), "%s: unknown model class \"%s\"", path, name);
    run_folder(path);
}
END_TEST

static int usage(void)
{
    (void)fprintf(stderr, "usage: golden [--level reference|avx2|avx512] [--parts N] DIR...\n");
    return 2;
}

static bool level_read(const char *text)
{
    const enum kernels_level levels[] = {KERNELS_LEVEL_REFERENCE, KERNELS_LEVEL_AVX2,
                                         KERNELS_LEVEL_AVX512};
    for (int64_t i = 0; i < ARRAY_LENGTH(levels); i++) {
        if (strcmp(text, kernels_level_name(levels[i])) == 0) {
            level = levels[i];
            return true;
        }
    }
    return false;
}

int main(int argument_count, char **arguments)
{
    int first = 1;
    level = kernels_level_best();
    for (; first + 1 < argument_count && strncmp(arguments[first], "--", 2) == 0; first += 2) {
        if (strcmp(arguments[first], "--parts") == 0) {
            role.tensor_parts = strtoll(arguments[first + 1], NULL, 10);
        } else if (strcmp(arguments[first], "--level") != 0 || !level_read(arguments[first + 1])) {
            return usage();
        }
    }
    if (first >= argument_count) {
        return usage();
    }
    folders = arguments + first;
    Suite *const suite = suite_create("golden");
    TCase *const all = tcase_create("golden");
    tcase_set_timeout(all, 100);
    tcase_add_loop_test(all, test_model_agrees_with_the_reference, 0, argument_count - first);
    suite_add_tcase(suite, all);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
