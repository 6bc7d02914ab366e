/* bench/recompute: what activations cost that backward computes again (shard.activation_recompute):
 * one slot forward and backward under each setting in turn. Prints processor seconds of one thread,
 * the best of several rounds, which other programs on the machine disturb less than the time of
 * day, and the memory of a worker's model.
 *
 *     bench_recompute [LAYERS HIDDEN LENGTH TOKENS ROUNDS]      4 256 128 1024 5 unless told
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "model/model.h"

enum { VOCABULARY = 50265, HEAD = 64, SETTINGS = 3, ARGUMENTS = 5 };

struct measurement {
    struct kernels kernels;
    struct model_options options;
    struct batch_limits limits;
    struct model *models[SETTINGS]; /* by enum model_recompute */
    int64_t bytes[SETTINGS];
    double seconds[SETTINGS]; /* best */
    float *weights;
    struct batch batch;
};

static double thread_seconds(void)
{
    struct timespec time;
    INVARIANT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static enum status gradient_drop(void *context, int64_t group, const float *gradient,
                                 struct error *error)
{
    (void)context;
    (void)group;
    (void)gradient;
    (void)error;
    return STATUS_OK;
}

/* Full sequences of random ids; 15 % are predicted. */
static void batch_make(struct batch *batch, const struct batch_limits *limits, int64_t length)
{
    const struct random_key key = random_key_make(1, RANDOM_PURPOSE_TEST, 0);
    batch_init(batch, limits);
    batch->segments = NULL;
    batch->sequence_count = limits->sequence_count;
    batch->token_count = limits->token_count;
    batch->target_count = limits->target_count;
    for (int64_t b = 0; b <= batch->sequence_count; b++) {
        batch->starts[b] = (int32_t)(b * length);
    }
    for (int64_t i = 0; i < batch->token_count; i++) {
        batch->ids[i] = (int32_t)(2 + random_at(key, 0, (uint64_t)i).word[0] % (VOCABULARY - 2));
        batch->positions[i] = (int32_t)(i % length);
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        batch->target_rows[k] = (int32_t)(k * batch->token_count / batch->target_count);
        batch->target_ids[k] = batch->ids[batch->target_rows[k]];
    }
    batch->dropout_key = random_key_make(1, RANDOM_PURPOSE_DROPOUT, 0);
}

static enum status measurement_open(struct measurement *measurement, const int64_t *sizes,
                                    struct error *error)
{
    const int64_t tokens = sizes[3];
    measurement->options = (struct model_options){.layers = sizes[0],
                                                  .hidden = sizes[1],
                                                  .heads = sizes[1] / HEAD,
                                                  .feed_forward = 4 * sizes[1],
                                                  .positions = sizes[2],
                                                  .position_offset = 2,
                                                  .vocabulary = VOCABULARY,
                                                  .type_vocabulary = 1,
                                                  .pad_id = 1,
                                                  .dropout = 0.1,
                                                  .attention_dropout = 0.1,
                                                  .norm_epsilon = 1e-5,
                                                  .init_range = 0.02};
    measurement->limits = (struct batch_limits){tokens / sizes[2], tokens, tokens * 15 / 100};
    TRY(kernels_open(&measurement->kernels, kernels_level_best(), error));
    for (int i = 0; i < SETTINGS; i++) {
        const struct model_role role = {.trains = true, .recompute = (enum model_recompute)i};
        TRY(model_open(&measurement->models[i], &measurement->kernels, &measurement->options,
                       &measurement->limits, &role, error));
        TRY(model_work_bytes(&measurement->kernels, &measurement->options, &measurement->limits,
                             &role, &measurement->bytes[i], error));
        measurement->seconds[i] = 1e9;
    }
    const struct parameter_table *const table = model_table(measurement->models[0]);
    measurement->weights = memory_take((size_t)table->element_count, sizeof(float), "benchmark");
    parameter_fill(table, measurement->options.init_range, 1, 0, table->element_count,
                   measurement->weights);
    batch_make(&measurement->batch, &measurement->limits, sizes[2]);
    return STATUS_OK;
}

static enum status measurement_run(struct measurement *measurement, int64_t rounds,
                                   struct error *error)
{
    const struct gradient_sink sink = {.take = gradient_drop};
    for (int64_t round = 0; round < rounds; round++) {
        for (int i = 0; i < SETTINGS; i++) {
            struct model_result result;
            const double start = thread_seconds();
            TRY(model_train(measurement->models[i], measurement->weights, &measurement->batch, 1.0F,
                            &sink, &result, error));
            const double seconds = thread_seconds() - start;
            measurement->seconds[i] =
                seconds < measurement->seconds[i] ? seconds : measurement->seconds[i];
        }
    }
    return STATUS_OK;
}

static void measurement_print(const struct measurement *measurement)
{
    static const char *const names[SETTINGS] = {"none", "attention", "layer"};
    for (int i = 0; i < SETTINGS; i++) {
        printf("%-10s %8.3f s  %5.3f of none  %8.1f MB\n", names[i], measurement->seconds[i],
               measurement->seconds[i] / measurement->seconds[0],
               (double)measurement->bytes[i] * 1e-6);
    }
}

int main(int argc, char **argv)
{
    int64_t sizes[ARGUMENTS] = {4, 256, 128, 1024, 5};
    for (int i = 0; i < ARGUMENTS && i + 1 < argc; i++) {
        sizes[i] = strtoll(argv[i + 1], NULL, 10);
        if (sizes[i] < 1) {
            (void)fprintf(stderr, "bench_recompute: \"%s\" is not a number above 0\n", argv[i + 1]);
            return 2;
        }
    }
    if (sizes[1] % HEAD != 0 || sizes[3] % sizes[2] != 0) {
        (void)fprintf(stderr, "bench_recompute: HIDDEN is a multiple of %d, TOKENS one of LENGTH\n",
                      HEAD);
        return 2;
    }
    struct error error = {0};
    struct measurement *const measurement = memory_take(1, sizeof *measurement, "benchmark");
    enum status status = measurement_open(measurement, sizes, &error);
    if (status == STATUS_OK) {
        status = measurement_run(measurement, sizes[4], &error);
    }
    if (status == STATUS_OK) {
        measurement_print(measurement);
    } else {
        (void)fprintf(stderr, "bench_recompute: %s\n", error.message);
    }
    batch_deinit(&measurement->batch);
    memory_release(measurement->weights);
    for (int i = 0; i < SETTINGS; i++) {
        model_close(measurement->models[i]);
    }
    memory_release(measurement);
    return status == STATUS_OK ? 0 : status_exit_code(status);
}
