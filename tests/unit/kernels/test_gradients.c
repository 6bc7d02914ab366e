/* kernels: every backward is the derivative of its forward. The scalar differentiated is Σ
 * weight·output in double (the loss itself for cross entropy). */
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/unit/kernels/finite_difference.h"

enum { N = 9, C = 22, HEADS = 2, WIDTH = 11, FLOATS_MAX = N * 3 * C };

/* Everything that a forward may read and write; each test uses what it needs. */
struct problem {
    const struct kernels *kernels;
    float x[FLOATS_MAX];
    float residual[N * C];
    float bias[C];
    float gain[C];
    float shift[C];
    float weight[N * C]; /* of the outputs in the scalar */
    float sum[N * C];
    float out[FLOATS_MAX];
    float mean[N];
    float rstd[N];
    float log_sum[HEADS * N];
    uint32_t bits[N * C / 32 + 1];
    struct kernels_dropout dropout;
    enum kernels_activation activation;
    enum kernels_attention attention;
    float *scratch;
    int32_t targets[N];
};

static void fill(float *values, int64_t count, uint64_t site)
{
    struct random_stream stream =
        random_stream_make(random_key_make(1, RANDOM_PURPOSE_TEST, 2), site);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(2.0 * random_stream_unit(&stream) - 1.0);
    }
}

static struct problem *problem_take(struct kernels *kernels, int loop)
{
    struct error error = {0};
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(kernels, level, &error), error);
    struct problem *const problem = memory_take(1, sizeof *problem, "test");
    problem->kernels = kernels;
    fill(problem->x, ARRAY_LENGTH(problem->x), 1);
    fill(problem->residual, N * C, 2);
    fill(problem->bias, C, 3);
    fill(problem->gain, C, 4);
    fill(problem->shift, C, 5);
    fill(problem->weight, N * C, 6);
    problem->dropout = kernels_dropout_make(0.25, (struct random_key){{1, 2}}, 3);
    kernels->dropout_bits(problem->bits, &problem->dropout, N * C);
    problem->scratch =
        memory_take((size_t)kernels->attention_scratch(N, WIDTH), sizeof *problem->scratch, "test");
    return problem;
}

static void problem_release(struct problem *problem)
{
    memory_release(problem->scratch);
    memory_release(problem);
}

static double weighted(const struct problem *problem)
{
    double sum = 0;
    for (int64_t i = 0; i < N * C; i++) {
        sum += (double)problem->weight[i] * (double)problem->out[i];
    }
    return sum;
}

static double norm_scalar(void *context)
{
    struct problem *const p = context;
    p->kernels->residual_norm_forward(p->sum, p->out, p->mean, p->rstd, p->residual, p->x, p->bias,
                                      p->bits, p->dropout.scale, p->gain, p->shift, 1e-5F, N, C);
    double passed = 0; /* the sum goes on as the next residual */
    for (int64_t i = 0; i < N * C; i++) {
        passed += (double)p->weight[N * C - 1 - i] * (double)p->sum[i];
    }
    return weighted(p) + passed;
}

START_TEST(test_norm_with_bias_dropout_and_residual)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    float d_pass[N * C];
    float d_sum[N * C];
    float d_x[N * C];
    float d_gain[C] = {0};
    float d_shift[C] = {0};
    float d_bias[C] = {0};
    (void)norm_scalar(p);
    for (int64_t i = 0; i < N * C; i++) {
        d_pass[i] = p->weight[N * C - 1 - i];
    }
    kernels.norm_backward(d_sum, d_gain, d_shift, d_pass, p->weight, p->sum, p->mean, p->rstd,
                          p->gain, N, C);
    kernels.dropout_apply(d_x, d_sum, p->bits, p->dropout.scale, N * C);
    kernels.bias_backward(d_bias, d_x, N, C);
    gradient_check("residual", p, norm_scalar, p->residual, d_sum, N * C);
    gradient_check("x", p, norm_scalar, p->x, d_x, N * C);
    gradient_check("bias", p, norm_scalar, p->bias, d_bias, C);
    gradient_check("gain", p, norm_scalar, p->gain, d_gain, C);
    gradient_check("shift", p, norm_scalar, p->shift, d_shift, C);
    problem_release(p);
}
END_TEST

static double activation_scalar(void *context)
{
    struct problem *const p = context;
    float pre[N * C];
    memcpy(pre, p->x, sizeof pre);
    p->kernels->activation_forward(p->out, NULL, pre, p->bias, p->activation, N, C);
    return weighted(p);
}

START_TEST(test_activations)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    for (int kind = KERNELS_ACTIVATION_GELU; kind <= KERNELS_ACTIVATION_TANH; kind++) {
        p->activation = (enum kernels_activation)kind;
        float pre[N * C];
        float slope[N * C];
        float d_pre[N * C];
        float d_bias[C] = {0};
        for (int64_t i = 0; i < N * C; i++) {
            /* ReLU bends at 0: keep two steps away from it */
            p->x[i] = (p->weight[i] < 0.5F ? 3.0F : -1.2F) * (0.4F + fabsf(p->residual[i]));
            p->bias[i % C] = 0.125F;
        }
        memcpy(pre, p->x, sizeof pre);
        kernels.activation_forward(p->out, slope, pre, p->bias, p->activation, N, C);
        kernels.activation_backward(d_pre, d_bias, p->weight, slope, N, C);
        gradient_check("pre", p, activation_scalar, p->x, d_pre, N * C);
        gradient_check("bias", p, activation_scalar, p->bias, d_bias, C);
    }
    problem_release(p);
}
END_TEST

/* Sequences of 4, 0 and 5 tokens. */
static const int32_t starts[] = {0, 4, 4, 9};

/* A tree of 4 trunk tokens with one branch, and one of 5 whose last token sees nothing. */
static const int32_t lists[2 * N] = {0, 1, 0, 1, 1, 3, 0, 1, 3, 4, 4, 6, 3, 4, 4, 6, 6, 6};
static const int32_t intervals[] = {0, 4, 0, 1, 2, 3, 1, 3, 0, 2, 3, 5};
static const struct kernels_visibility visibility = {lists, intervals};

static struct kernels_attention_shape attention_shape(const struct problem *p)
{
    return (struct kernels_attention_shape){.sequence_count = 3,
                                            .starts = starts,
                                            .heads = HEADS,
                                            .head_width = WIDTH,
                                            .kind = p->attention,
                                            .scale = 1.0F,
                                            .dropout = p->dropout,
                                            .visibility = &visibility};
}

static double attention_scalar(void *context)
{
    struct problem *const p = context;
    const struct kernels_attention_shape shape = attention_shape(p);
    p->kernels->attention_forward(p->out, p->log_sum, p->x, &shape, p->scratch);
    return weighted(p);
}

START_TEST(test_attention_of_every_kind_with_and_without_dropout)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    for (int kind = 0; kind < 6; kind++) {
        float d_qkv[FLOATS_MAX];
        p->attention = (enum kernels_attention)(kind % 3);
        p->dropout = kernels_dropout_make(kind / 3 == 0 ? 0.0 : 0.25, p->dropout.key, 3);
        (void)attention_scalar(p);
        const struct kernels_attention_shape shape = attention_shape(p);
        kernels.attention_backward(d_qkv, p->weight, p->out, p->log_sum, p->x, &shape, p->scratch);
        gradient_check("qkv", p, attention_scalar, p->x, d_qkv, FLOATS_MAX);
    }
    problem_release(p);
}
END_TEST

static double cross_entropy_scalar(void *context)
{
    struct problem *const p = context;
    double loss = 0;
    int64_t correct = 0;
    memcpy(p->out, p->x, sizeof p->out);
    p->kernels->softmax_cross_entropy(p->out, p->bias, p->targets, 0.0F, &loss, &correct, N, C);
    return 0.25 * loss;
}

START_TEST(test_softmax_cross_entropy)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    float logits[N * C];
    float d_bias[C] = {0};
    double loss = 0;
    int64_t correct = 0;
    for (int32_t i = 0; i < N; i++) {
        p->targets[i] = i * 5 % C;
    }
    memcpy(logits, p->x, sizeof logits);
    kernels.softmax_cross_entropy(logits, p->bias, p->targets, 0.25F, &loss, &correct, N, C);
    kernels.bias_backward(d_bias, logits, N, C);
    gradient_check("logits", p, cross_entropy_scalar, p->x, logits, N * C);
    gradient_check("bias", p, cross_entropy_scalar, p->bias, d_bias, C);
    problem_release(p);
}
END_TEST

/* Logits become their gradient in `part_count` parts; returns loss and hits as the whole does. */
static double cross_entropy_parts(struct problem *p, float *logits, int64_t part_count,
                                  int64_t *correct)
{
    struct kernels_softmax_part parts[4 * N];
    struct kernels_softmax_part wholes[N];
    double loss = 0;
    *correct = 0;
    for (int64_t part = 0; part < part_count; part++) {
        const int64_t first = C * part / part_count;
        const int64_t end = C * (part + 1) / part_count;
        p->kernels->softmax_part(logits + first, C, p->bias + first, p->targets, first, true,
                                 parts + part * N, N, end - first);
    }
    kernels_softmax_join(wholes, parts, part_count, p->targets, &loss, correct, N);
    for (int64_t part = 0; part < part_count; part++) {
        const int64_t first = C * part / part_count;
        const int64_t end = C * (part + 1) / part_count;
        p->kernels->softmax_part_gradient(logits + first, C, p->targets, first, 0.25F,
                                          parts + part * N, wholes, N, end - first);
    }
    return loss;
}

START_TEST(test_softmax_in_parts_is_that_of_the_whole)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    for (int32_t i = 0; i < N; i++) {
        p->targets[i] = i * 5 % C;
    }
    p->x[3] = p->x[C - 2] = 9.0F; /* equal in two parts: the first is the best */
    p->bias[3] = p->bias[C - 2];
    p->targets[0] = 3;
    for (int64_t part_count = 1; part_count <= 4; part_count++) {
        float whole[N * C];
        float parts[N * C];
        double loss = 0;
        int64_t correct = 0;
        int64_t correct_parts;
        memcpy(whole, p->x, sizeof whole);
        memcpy(parts, p->x, sizeof parts);
        kernels.softmax_cross_entropy(whole, p->bias, p->targets, 0.25F, &loss, &correct, N, C);
        const double loss_parts = cross_entropy_parts(p, parts, part_count, &correct_parts);
        ck_assert_double_eq_tol(loss, loss_parts, 1e-6 * N);
        ck_assert_int_eq(correct, correct_parts);
        for (int64_t i = 0; i < N * C; i++) { /* two roundings of an exponential and one factor */
            ck_assert_double_eq_tol((double)whole[i], (double)parts[i], 0.25 * 4e-7);
        }
    }
    problem_release(p);
}
END_TEST

static const int32_t ids[N] = {3, 1, 4, 1, 5, 2, 6, 5, 3};
static const int32_t positions[N] = {0, 1, 2, 0, 1, 2, 3, 4, 5};
static const int32_t segments[N] = {0, 0, 1, 1, 0, 0, 0, 1, 1};

/* Tables one behind another in x: 7 words, 7 positions (the first unused), 2 types. */
static double embedding_scalar(void *context)
{
    struct problem *const p = context;
    p->kernels->embedding_forward(p->out, p->x, p->x + 7 * C, p->x + 14 * C, ids, positions,
                                  segments, 1, N, C);
    return weighted(p);
}

START_TEST(test_embedding)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    float d_tables[16 * C] = {0};
    kernels.embedding_backward(d_tables, d_tables + 7 * C, d_tables + 14 * C, p->weight, ids,
                               positions, segments, 1, -1, N, C);
    gradient_check("tables", p, embedding_scalar, p->x, d_tables, 16 * C);
    float d_word[7 * C] = {0};
    kernels.embedding_backward(d_word, NULL, NULL, p->weight, ids, positions, segments, 1, 5, N, C);
    for (int64_t j = 0; j < 7 * C; j++) {
        ck_assert(d_word[j] == (j / C == 5 ? 0.0F : d_tables[j]));
    }
    problem_release(p);
}
END_TEST

static double rows_scalar(void *context)
{
    struct problem *const p = context;
    p->kernels->rows_gather(p->out, p->x, ids, N, C);
    return weighted(p);
}

START_TEST(test_rows)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    float d_rows[7 * C] = {0};
    kernels.rows_scatter_add(d_rows, p->weight, ids, N, C);
    gradient_check("rows", p, rows_scalar, p->x, d_rows, 7 * C);
    problem_release(p);
}
END_TEST

/* out = x · W' + bias with x (N, 3) and W (C, 3), which lies in `residual`. */
static double linear_scalar(void *context)
{
    struct problem *const p = context;
    p->kernels->matmul(N, C, 3, 1.0F, matrix_of(p->x, 3), matrix_transposed(p->residual, 3), 0.0F,
                       p->out, C);
    p->kernels->bias_forward(p->out, p->bias, N, C);
    return weighted(p);
}

START_TEST(test_linear)
{
    struct kernels kernels;
    struct problem *const p = problem_take(&kernels, _i);
    float d_x[N * 3];
    float d_weight[C * 3];
    float d_bias[C] = {0};
    kernels.matmul(N, 3, C, 1.0F, matrix_of(p->weight, C), matrix_of(p->residual, 3), 0.0F, d_x, 3);
    kernels.matmul(C, 3, N, 1.0F, matrix_transposed(p->weight, C), matrix_of(p->x, 3), 0.0F,
                   d_weight, 3);
    kernels.bias_backward(d_bias, p->weight, N, C);
    gradient_check("x", p, linear_scalar, p->x, d_x, N * 3);
    gradient_check("weight", p, linear_scalar, p->residual, d_weight, C * 3);
    gradient_check("bias", p, linear_scalar, p->bias, d_bias, C);
    problem_release(p);
}
END_TEST

/* Each test runs at the reference level and at the best one. */
int main(void)
{
    return suite_run_loop(
        "kernels gradients",
        (const TTest *[]){test_norm_with_bias_dropout_and_residual, test_activations,
                          test_attention_of_every_kind_with_and_without_dropout,
                          test_softmax_cross_entropy, test_softmax_in_parts_is_that_of_the_whole,
                          test_embedding, test_rows, test_linear, NULL},
        2);
}
