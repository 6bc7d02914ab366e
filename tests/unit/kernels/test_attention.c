/* Packed attention: what a pass leaves out or keeps changes no bit, and what is known of gradients
 * in exact arithmetic holds. Each at every level and with products of bf16, full and causal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/support/suite.h"

enum { ROWS = 300, HEADS = 2, WIDTH = 16, C = HEADS * WIDTH, LONGEST = 209, WAYS = 4 };

/* Blocks of queries begin within sequences, one of which is a single row. */
static const int32_t starts[] = {0, 90, 91, ROWS};
static const int32_t queries[] = {3, 5, 89, 95, 96, 97, 250, 298};

struct attention {
    struct kernels kernels;
    struct kernels_attention_shape shape;
    float *qkv;     /* (ROWS, 3C) */
    float *out;     /* (ROWS, C) */
    float *log_sum; /* (HEADS, ROWS) */
    float *d_out;   /* (ROWS, C) */
    float *d_qkv;   /* (ROWS, 3C) */
    float *scratch;
};

static float *floats_take(struct random_stream *stream, int64_t count, double size)
{
    float *const values = memory_take((size_t)count, sizeof *values, "test");
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)((2.0 * random_stream_unit(stream) - 1.0) * size);
    }
    return values;
}

/* The reference, AVX2, the best level, and that with bf16; false, with a word why, if this
 * processor has no such products. */
static bool kernels_take(struct kernels *kernels, int way)
{
    struct error error = {0};
    const enum kernels_level level = way == 0   ? KERNELS_LEVEL_REFERENCE
                                     : way == 1 ? KERNELS_LEVEL_AVX2
                                                : kernels_level_best();
    CHECK_OK(kernels_open(kernels, level, &error), error);
    if (way == 3 && kernels_use_bf16(kernels, &error) != STATUS_OK) {
        (void)fprintf(stderr, "skipped, attention in bf16: %s\n", error.message);
        return false;
    }
    return true;
}

static bool attention_take(struct attention *a, int loop)
{
    if (!kernels_take(&a->kernels, loop / 2)) {
        return false;
    }
    const struct random_key key = random_key_make(5, RANDOM_PURPOSE_TEST, 0);
    struct random_stream stream = random_stream_make(key, 1);
    a->qkv = floats_take(&stream, (int64_t)ROWS * 3 * C, 2.0);
    a->out = floats_take(&stream, (int64_t)ROWS * C, 1.0);
    a->log_sum = floats_take(&stream, (int64_t)HEADS * ROWS, 1.0);
    a->d_out = floats_take(&stream, (int64_t)ROWS * C, 1.0);
    a->d_qkv = floats_take(&stream, (int64_t)ROWS * 3 * C, 1.0);
    a->scratch = floats_take(&stream, a->kernels.attention_scratch(LONGEST, WIDTH), 1.0);
    a->shape = (struct kernels_attention_shape){.sequence_count = 3,
                                                .starts = starts,
                                                .heads = HEADS,
                                                .head_width = WIDTH,
                                                .kind = loop % 2 == 0 ? KERNELS_ATTENTION_FULL
                                                                      : KERNELS_ATTENTION_CAUSAL,
                                                .scale = 0.25F,
                                                .dropout = kernels_dropout_make(0.1, key, 3)};
    return true;
}

static void attention_release(struct attention *a)
{
    memory_release(a->qkv);
    memory_release(a->out);
    memory_release(a->log_sum);
    memory_release(a->d_out);
    memory_release(a->d_qkv);
    memory_release(a->scratch);
}

static void attention_forward(struct attention *a)
{
    a->kernels.attention_forward(a->out, a->log_sum, a->qkv, &a->shape, a->scratch);
}

static void attention_backward(struct attention *a, float *d_qkv)
{
    a->kernels.attention_backward(d_qkv, a->d_out, a->out, a->log_sum, a->qkv, &a->shape,
                                  a->scratch);
}

START_TEST(test_a_row_that_asks_has_the_bits_of_a_pass_in_which_all_do)
{
    struct attention all;
    struct attention some;
    if (!attention_take(&all, _i) || !attention_take(&some, _i)) {
        return;
    }
    for (int64_t q = 0; q < ARRAY_LENGTH(queries); q++) {
        memcpy(some.qkv + q * 3 * C, all.qkv + (int64_t)queries[q] * 3 * C, C * sizeof *some.qkv);
    }
    some.shape.queries = queries;
    some.shape.query_count = ARRAY_LENGTH(queries);
    attention_forward(&all);
    attention_forward(&some);
    for (int64_t q = 0; q < ARRAY_LENGTH(queries); q++) {
        ck_assert_mem_eq(some.out + q * C, all.out + (int64_t)queries[q] * C, C * sizeof *all.out);
    }
    attention_release(&some);
    attention_release(&all);
}
END_TEST

/* Others have written into the scratch since forward. */
START_TEST(test_dropout_that_is_kept_has_the_bits_of_one_made_again)
{
    struct attention a;
    if (!attention_take(&a, _i)) {
        return;
    }
    const int64_t bytes = kernels_attention_kept(ROWS, HEADS, LONGEST);
    uint8_t *const kept = memory_take((size_t)bytes + 1, 1, "test");
    for (int64_t asked = 0; asked < 2; asked++) {
        a.shape.queries = asked == 1 ? queries : NULL;
        a.shape.query_count = asked == 1 ? ARRAY_LENGTH(queries) : 0;
        float *const again = memory_take((size_t)ROWS * 3 * C, sizeof *again, "test");
        memcpy(again, a.d_qkv, (size_t)ROWS * 3 * C * sizeof *again);
        a.shape.kept = NULL;
        attention_forward(&a);
        attention_backward(&a, again);
        memset(kept, 0xa5, (size_t)bytes + 1);
        a.shape.kept = kept;
        attention_forward(&a);
        memset(a.scratch, 0x55,
               (size_t)a.kernels.attention_scratch(LONGEST, WIDTH) * sizeof *a.scratch);
        attention_backward(&a, a.d_qkv);
        ck_assert_mem_eq(a.d_qkv, again, (size_t)ROWS * 3 * C * sizeof *again);
        ck_assert_uint_eq(kept[bytes], 0xa5);
        memory_release(again);
    }
    memory_release(kept);
    attention_release(&a);
}
END_TEST

/* A key's bias moves all scores of a query alike, so it has no gradient: the gradients of a
 * sequence's keys add up to zero, but for what adding them in floats loses. */
START_TEST(test_gradients_of_keys_add_up_to_zero)
{
    struct attention a;
    if (!attention_take(&a, _i)) {
        return;
    }
    attention_forward(&a);
    attention_backward(&a, a.d_qkv);
    for (int64_t b = 0; b < a.shape.sequence_count; b++) {
        for (int64_t d = 0; d < C; d++) {
            double sum = 0;
            double size = 0;
            for (int64_t row = starts[b]; row < starts[b + 1]; row++) {
                const double value = (double)a.d_qkv[row * 3 * C + C + d];
                sum += value;
                size += fabs(value);
            }
            ck_assert_double_le(fabs(sum), 2e-6 * size + 1e-6);
        }
    }
    attention_release(&a);
}
END_TEST

static double distance(const float *a, const float *b, int64_t count)
{
    double difference = 0;
    double size = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / size);
}

/* More keys than are packed at a time, and more than a product sums in one block of k. */
START_TEST(test_long_sequences_are_near_the_reference)
{
    enum { LONG = 1100, NARROW = 4 };
    static const int32_t whole[] = {0, LONG};
    struct attention a;
    struct kernels reference;
    struct error error = {0};
    if (_i < 2 || !attention_take(&a, _i)) { /* 0 and 1 are the reference */
        return;
    }
    CHECK_OK(kernels_open(&reference, KERNELS_LEVEL_REFERENCE, &error), error);
    struct random_stream stream = random_stream_make(random_key_make(6, RANDOM_PURPOSE_TEST, 0), 1);
    a.shape.sequence_count = 1;
    a.shape.starts = whole;
    a.shape.heads = 1;
    a.shape.head_width = NARROW;
    float *const scratch = floats_take(&stream, a.kernels.attention_scratch(LONG, NARROW), 1.0);
    float *const qkv = floats_take(&stream, (int64_t)LONG * 3 * NARROW, 2.0);
    float *const d_out = floats_take(&stream, (int64_t)LONG * NARROW, 1.0);
    float *out[2];
    float *log_sum[2];
    float *d_qkv[2];
    for (int i = 0; i < 2; i++) {
        const struct kernels *const kernels = i == 0 ? &a.kernels : &reference;
        out[i] = floats_take(&stream, (int64_t)LONG * NARROW, 1.0);
        log_sum[i] = floats_take(&stream, LONG, 1.0);
        d_qkv[i] = floats_take(&stream, (int64_t)LONG * 3 * NARROW, 1.0);
        kernels->attention_forward(out[i], log_sum[i], qkv, &a.shape, scratch);
        kernels->attention_backward(d_qkv[i], d_out, out[i], log_sum[i], qkv, &a.shape, scratch);
    }
    const double far = _i / 2 == 3 ? 0.02 : 1e-5;
    ck_assert_double_lt(distance(out[0], out[1], (int64_t)LONG * NARROW), far);
    ck_assert_double_lt(distance(log_sum[0], log_sum[1], LONG), far);
    ck_assert_double_lt(distance(d_qkv[0], d_qkv[1], (int64_t)LONG * 3 * NARROW), far);
    for (int i = 0; i < 2; i++) {
        memory_release(out[i]);
        memory_release(log_sum[i]);
        memory_release(d_qkv[i]);
    }
    memory_release(d_out);
    memory_release(qkv);
    memory_release(scratch);
    attention_release(&a);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "attention",
        (const TTest *[]){test_a_row_that_asks_has_the_bits_of_a_pass_in_which_all_do,
                          test_dropout_that_is_kept_has_the_bits_of_one_made_again,
                          test_gradients_of_keys_add_up_to_zero,
                          test_long_sequences_are_near_the_reference, NULL},
        2 * WAYS);
}
