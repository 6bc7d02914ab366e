/* Attention of arbitrary visibility: what lists of intervals mean at their edges, each at the
 * reference level and at the best one. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/support/suite.h"

enum {
    LENGTH = 150,
    SEQUENCES = 2,
    N = SEQUENCES * LENGTH,
    HEADS = 2,
    WIDTH = 8,
    C = HEADS * WIDTH
};

static const int32_t starts[] = {0, LENGTH, N};

struct attention {
    struct kernels kernels;
    struct kernels_attention_shape shape;
    float qkv[N * 3 * C];
    float out[N * C];
    float log_sum[HEADS * N];
    float d_out[N * C];
    float d_qkv[N * 3 * C];
    float *scratch;
};

static struct attention *attention_take(int loop)
{
    struct error error = {0};
    struct attention *const a = memory_take(1, sizeof *a, "test");
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(&a->kernels, level, &error), error);
    const struct random_key key = random_key_make(5, RANDOM_PURPOSE_TEST, 0);
    struct random_stream stream = random_stream_make(key, 1);
    for (int64_t i = 0; i < ARRAY_LENGTH(a->qkv); i++) {
        a->qkv[i] = (float)(4.0 * random_stream_unit(&stream) - 2.0);
    }
    for (int64_t i = 0; i < ARRAY_LENGTH(a->d_out); i++) {
        a->d_out[i] = (float)(2.0 * random_stream_unit(&stream) - 1.0);
    }
    a->shape = (struct kernels_attention_shape){.sequence_count = SEQUENCES,
                                                .starts = starts,
                                                .heads = HEADS,
                                                .head_width = WIDTH,
                                                .kind = KERNELS_ATTENTION_VISIBLE,
                                                .scale = 0.3F,
                                                .dropout = kernels_dropout_make(0.1, key, 3)};
    a->scratch = memory_take((size_t)a->kernels.attention_scratch(LENGTH, WIDTH),
                             sizeof *a->scratch, "test");
    return a;
}

static void attention_release(struct attention *a)
{
    memory_release(a->scratch);
    memory_release(a);
}

static void attention_run(struct attention *a)
{
    a->kernels.attention_forward(a->out, a->log_sum, a->qkv, &a->shape, a->scratch);
    a->kernels.attention_backward(a->d_qkv, a->d_out, a->out, a->log_sum, a->qkv, &a->shape,
                                  a->scratch);
}

static void same_bits_check(const struct attention *a, const struct attention *b)
{
    ck_assert_mem_eq(a->out, b->out, sizeof a->out);
    ck_assert_mem_eq(a->log_sum, b->log_sum, sizeof a->log_sum);
    ck_assert_mem_eq(a->d_qkv, b->d_qkv, sizeof a->d_qkv);
}

START_TEST(test_one_shared_interval_of_all_keys_gives_the_bits_of_full_attention)
{
    static int32_t lists[2 * N];
    static const int32_t intervals[] = {0, LENGTH};
    const struct kernels_visibility visibility = {lists, intervals};
    for (int64_t row = 0; row < N; row++) {
        lists[2 * row] = 0;
        lists[2 * row + 1] = 1;
    }
    struct attention *const seen = attention_take(_i);
    struct attention *const full = attention_take(_i);
    seen->shape.visibility = &visibility;
    full->shape.kind = KERNELS_ATTENTION_FULL;
    attention_run(seen);
    attention_run(full);
    same_bits_check(seen, full);
    attention_release(seen);
    attention_release(full);
}
END_TEST

START_TEST(test_a_row_that_sees_one_key_gives_its_value)
{
    static int32_t lists[2 * N];
    static int32_t intervals[2 * N];
    const struct kernels_visibility visibility = {lists, intervals};
    for (int32_t row = 0; row < N; row++) {
        lists[2 * row] = row;
        lists[2 * row + 1] = row + 1;
        intervals[2 * row] = LENGTH - 1 - row % LENGTH;
        intervals[2 * row + 1] = LENGTH - row % LENGTH;
    }
    struct attention *const a = attention_take(_i);
    a->shape.visibility = &visibility;
    a->shape.dropout.threshold = 0;
    attention_run(a);
    for (int64_t i = 0; i < N * C; i++) {
        const int64_t row = i / C;
        const int64_t key = row / LENGTH * LENGTH + LENGTH - 1 - row % LENGTH;
        ck_assert(a->out[i] == a->qkv[key * 3 * C + 2 * C + i % C]);
    }
    attention_release(a);
}
END_TEST

START_TEST(test_a_row_that_sees_nothing_gives_zero_and_moves_no_gradient)
{
    static const int32_t intervals[] = {0, 3};
    static int32_t lists[2 * N]; /* row 7 sees three keys, all others none */
    const struct kernels_visibility visibility = {lists, intervals};
    lists[2 * 7 + 1] = 1;
    struct attention *const a = attention_take(_i);
    a->shape.visibility = &visibility;
    attention_run(a);
    for (int64_t i = 0; i < N * C; i++) {
        ck_assert(i / C == 7 || a->out[i] == 0.0F);
    }
    for (int64_t i = 0; i < HEADS * N; i++) {
        ck_assert(i % N == 7 ? isfinite(a->log_sum[i]) : isinf(a->log_sum[i]));
    }
    for (int64_t i = 0; i < N * 3 * C; i++) {
        const int64_t row = i / (3 * C);
        ck_assert(isfinite(a->d_qkv[i]));
        ck_assert(row < 3 || (row == 7 && i % (3 * C) < C) || a->d_qkv[i] == 0.0F);
    }
    attention_release(a);
}
END_TEST

START_TEST(test_a_value_that_is_not_a_number_is_not_hidden)
{
    static int32_t lists[2 * N];
    static const int32_t intervals[] = {2, 4};
    const struct kernels_visibility visibility = {lists, intervals};
    for (int64_t row = 0; row < N; row++) {
        lists[2 * row + 1] = 1;
    }
    struct attention *const a = attention_take(_i);
    a->shape.visibility = &visibility;
    for (int64_t j = 0; j < WIDTH; j++) {
        a->qkv[2 * 3 * C + C + j] = NAN; /* keys 2 and 3 of the first sequence, head 0 */
        a->qkv[3 * 3 * C + C + j] = NAN;
    }
    attention_run(a);
    for (int64_t row = 0; row < LENGTH; row++) {
        ck_assert(isnan(a->out[row * C]) && isfinite(a->out[row * C + WIDTH]));
    }
    attention_release(a);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "kernels visibility",
        (const TTest *[]){test_one_shared_interval_of_all_keys_gives_the_bits_of_full_attention,
                          test_a_row_that_sees_one_key_gives_its_value,
                          test_a_row_that_sees_nothing_gives_zero_and_moves_no_gradient,
                          test_a_value_that_is_not_a_number_is_not_hidden, NULL},
        2);
}
