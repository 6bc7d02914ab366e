/* bench/roofline: a roofline of what a training step is made of beside matrix products. For each
 * kernel the bytes that it must move, its floating-point operations, and the time; from these the
 * share of the memory's bandwidth (a stream that is read and written, measured here) and of the
 * core's peak (a product that stays in the cache). The larger share says what the kernel is bound
 * by. One slot of 1,024 tokens; parameters by the million.
 *
 *     bench_roofline [WIDTH]      hidden width (768)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/kernels.h"

enum {
    TOKENS = 1024,
    SEQUENCE = 128,
    HEAD = 64,
    PREDICTED = 154,
    WORDS = 50265,
    PARAMETERS = 1 << 22
};

/* Everything that the cases read and write. */
struct space {
    const struct kernels *kernels;
    int64_t width;
    float *a, *b, *c, *d; /* each as large as the largest array */
    float *narrow;        /* statistics of rows and heads */
    float *gains;         /* (4C) gains, biases and their gradients */
    int64_t *sums;
    int32_t *targets;
    uint32_t *bits;
};

struct cost {
    double bytes;
    double operations;
};

static int64_t narrow_count(const struct space *space)
{
    return TOKENS * space->width;
}

static struct cost run_gelu(const struct space *space)
{
    const int64_t wide = 4 * space->width;
    space->kernels->activation_forward(space->b, space->a, space->a, space->gains,
                                       KERNELS_ACTIVATION_GELU, TOKENS, wide);
    return (struct cost){12.0 * (double)(TOKENS * wide), 44.0 * (double)(TOKENS * wide)};
}

static struct cost run_gelu_backward(const struct space *space)
{
    const int64_t wide = 4 * space->width;
    space->kernels->activation_backward(space->b, space->gains, space->b, space->a, TOKENS, wide);
    return (struct cost){12.0 * (double)(TOKENS * wide), 2.0 * (double)(TOKENS * wide)};
}

static struct cost run_norm(const struct space *space)
{
    const double count = (double)narrow_count(space);
    space->kernels->residual_norm_forward(space->c, space->d, space->narrow, space->narrow + TOKENS,
                                          space->a, space->b, space->narrow, space->bits, 1.1F,
                                          space->narrow, space->narrow, 1e-5F, TOKENS,
                                          space->width);
    return (struct cost){16.0 * count, 10.0 * count};
}

static struct cost run_norm_backward(const struct space *space)
{
    const double count = (double)narrow_count(space);
    space->kernels->norm_backward(space->c, space->gains, space->gains + space->width, NULL,
                                  space->a, space->b, space->narrow, space->narrow + TOKENS,
                                  space->gains + 2 * space->width, TOKENS, space->width);
    return (struct cost){12.0 * count, 17.0 * count};
}

static struct cost run_bias_backward(const struct space *space)
{
    const double count = (double)narrow_count(space);
    space->kernels->bias_backward(space->gains, space->a, TOKENS, space->width);
    return (struct cost){4.0 * count, count};
}

static struct cost run_dropout(const struct space *space)
{
    const struct kernels_dropout dropout =
        kernels_dropout_make(0.1, random_key_make(1, RANDOM_PURPOSE_DROPOUT, 0), 1);
    const double count = (double)narrow_count(space);
    space->kernels->dropout_bits(space->bits, &dropout, narrow_count(space));
    return (struct cost){count / 8.0, 10.0 * count}; /* integer operations of Philox */
}

static struct kernels_attention_shape attention_shape(const struct space *space,
                                                      int32_t starts[TOKENS / SEQUENCE + 1])
{
    for (int32_t b = 0; b <= TOKENS / SEQUENCE; b++) {
        starts[b] = b * SEQUENCE;
    }
    return (struct kernels_attention_shape){.sequence_count = TOKENS / SEQUENCE,
                                            .starts = starts,
                                            .heads = space->width / HEAD,
                                            .head_width = HEAD,
                                            .kind = KERNELS_ATTENTION_FULL,
                                            .scale = 0.125F};
}

static struct cost run_attention(const struct space *space)
{
    int32_t starts[TOKENS / SEQUENCE + 1];
    const struct kernels_attention_shape shape = attention_shape(space, starts);
    const double count = (double)narrow_count(space);
    space->kernels->attention_forward(space->b, space->narrow, space->a, &shape, space->d);
    return (struct cost){16.0 * count, count * SEQUENCE * (4.0 + 20.0 / HEAD)};
}

static struct cost run_attention_backward(const struct space *space)
{
    int32_t starts[TOKENS / SEQUENCE + 1];
    const struct kernels_attention_shape shape = attention_shape(space, starts);
    const double count = (double)narrow_count(space);
    space->kernels->attention_backward(space->c, space->b, space->b, space->narrow, space->a,
                                       &shape, space->d);
    return (struct cost){28.0 * count, count * SEQUENCE * (10.0 + 26.0 / HEAD)};
}

static struct cost run_softmax(const struct space *space)
{
    double loss = 0;
    int64_t correct = 0;
    const double count = (double)PREDICTED * WORDS;
    space->kernels->softmax_cross_entropy(space->a, NULL, space->targets, 1e-3F, &loss, &correct,
                                          PREDICTED, WORDS);
    return (struct cost){8.0 * count, 22.0 * count};
}

static struct cost run_fixed_point_add(const struct space *space)
{
    (void)space->kernels->fixed_point_add(space->sums, space->a, 54, 8, PARAMETERS);
    return (struct cost){20.0 * PARAMETERS, 3.0 * PARAMETERS};
}

static struct cost run_fixed_point_set(const struct space *space)
{
    (void)space->kernels->fixed_point_set(space->sums, space->a, 54, 8, PARAMETERS);
    return (struct cost){12.0 * PARAMETERS, 3.0 * PARAMETERS};
}

static struct cost run_fixed_point_finish(const struct space *space)
{
    double squares;
    (void)space->kernels->fixed_point_finish(space->b, &squares, space->sums, space->a, 54, 8,
                                             PARAMETERS);
    return (struct cost){16.0 * PARAMETERS, 7.0 * PARAMETERS};
}

static struct cost run_adamw(const struct space *space)
{
    const struct kernels_adamw options = {.rate = 1e-4,
                                          .beta1 = 0.9,
                                          .beta2 = 0.98,
                                          .epsilon = 1e-6,
                                          .weight_decay = 0.01,
                                          .correction1 = 1.0,
                                          .correction2 = 1.0,
                                          .gradient_scale = 1.0};
    const struct kernels_state state = {space->a, space->b, space->c};
    space->kernels->adamw(&state, &state, space->d, &options, PARAMETERS);
    return (struct cost){28.0 * PARAMETERS, 16.0 * PARAMETERS};
}

static struct cost run_stream(const struct space *space)
{
    space->kernels->dropout_apply(space->b, space->a, NULL, 1.0F, PARAMETERS);
    return (struct cost){8.0 * PARAMETERS, 0.0};
}

static struct cost run_product(const struct space *space)
{
    space->kernels->matmul(TOKENS, 384, 128, 1.0F, matrix_of(space->a, 128),
                           matrix_transposed(space->b, 128), 0.0F, space->c, 384);
    return (struct cost){4.0 * (TOKENS * 128 + 384 * 128 + TOKENS * 384), 2.0 * TOKENS * 384 * 128};
}

/* The best of several rounds, in seconds. */
static double best_seconds(const struct space *space, struct cost (*run)(const struct space *space),
                           struct cost *cost)
{
    enum { ROUNDS = 15 };
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        for (int64_t k = 0; k < 2 * narrow_count(space); k += 64) {
            space->b[k] = 0.5F; /* what a round has multiplied away */
        }
        const int64_t start_ns = clock_now_ns();
        *cost = run(space);
        const int64_t taken_ns = clock_now_ns() - start_ns;
        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
    }
    return (double)best_ns * 1e-9;
}

static float *floats_take(int64_t count)
{
    float *const values = memory_take((size_t)count, sizeof *values, "benchmark");
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(i * 2654435761U % 1024) / 2048.0F + 0.25F;
    }
    return values;
}

int main(int argument_count, char **arguments)
{
    static const struct {
        const char *name;
        struct cost (*run)(const struct space *space);
    } cases[] = {{"bias, GELU", run_gelu},
                 {"GELU, backward", run_gelu_backward},
                 {"dropout, residual, LayerNorm", run_norm},
                 {"LayerNorm, backward", run_norm_backward},
                 {"gradient of a bias", run_bias_backward},
                 {"bits of a dropout", run_dropout},
                 {"attention, T 128", run_attention},
                 {"attention, backward", run_attention_backward},
                 {"softmax, cross entropy", run_softmax},
                 {"exact sums, written", run_fixed_point_set},
                 {"exact sums, added to", run_fixed_point_add},
                 {"exact sums, finished", run_fixed_point_finish},
                 {"AdamW", run_adamw}};
    struct kernels kernels;
    struct error error = {0};
    const int64_t width = argument_count > 1 ? strtol(arguments[1], NULL, 10) : 768;
    if (width < HEAD || width > 8192 || width % HEAD != 0 ||
        kernels_open(&kernels, kernels_level_best(), &error) != STATUS_OK) {
        (void)fprintf(stderr, "bench_roofline: %s\n",
                      error.message[0] != '\0' ? error.message
                                               : "WIDTH is a multiple of 64 up to 8192");
        return 2;
    }
    const int64_t most =
        4 * TOKENS * width > PREDICTED * WORDS ? 4 * TOKENS * width : PREDICTED * WORDS;
    const struct space space = {
        .kernels = &kernels,
        .width = width,
        .a = floats_take(most),
        .b = floats_take(most),
        .c = floats_take(most),
        .d = floats_take(most),
        .narrow = floats_take((2 + width / HEAD) * TOKENS),
        .gains = floats_take(4 * width),
        .sums = memory_take(PARAMETERS, sizeof *space.sums, "benchmark"),
        .targets = memory_take(PREDICTED, sizeof *space.targets, "benchmark"),
        .bits = memory_take((size_t)(TOKENS * width / 32 + 1), sizeof *space.bits, "benchmark")};
    struct cost cost;
    const double product_seconds = best_seconds(&space, run_product, &cost);
    const double peak = cost.operations / product_seconds;
    const double stream_seconds = best_seconds(&space, run_stream, &cost);
    const double bandwidth = cost.bytes / stream_seconds;
    (void)printf("width %d, %s: %.1f GFLOP/s of a product in cache, %.1f GB/s of a stream\n\n"
                 "| kernel | MB | ms | GB/s | of the stream | GFLOP/s | of the product |\n"
                 "|---|---|---|---|---|---|---|\n",
                 (int)width, kernels_level_name(kernels.level), peak * 1e-9, bandwidth * 1e-9);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double seconds = best_seconds(&space, cases[i].run, &cost);
        (void)printf("| %s | %.1f | %.2f | %.1f | %.0f %% | %.1f | %.0f %% |\n", cases[i].name,
                     cost.bytes * 1e-6, seconds * 1e3, cost.bytes / seconds * 1e-9,
                     100.0 * cost.bytes / seconds / bandwidth, cost.operations / seconds * 1e-9,
                     100.0 * cost.operations / seconds / peak);
    }
    memory_release(space.a);
    memory_release(space.b);
    memory_release(space.c);
    memory_release(space.d);
    memory_release(space.narrow);
    memory_release(space.gains);
    memory_release(space.sums);
    memory_release(space.targets);
    memory_release(space.bits);
    return 0;
}
