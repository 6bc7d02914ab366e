/* Relative two-stream attention: its gradients by finite differences, and what its two streams may
 * see; each at the reference level and at the best one. */
#include <string.h>

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tests/unit/kernels/finite_difference.h"

/* Two sequences: memories of 2 and 0 keys, then 4 and 3 tokens, of which places 1, 3 and 0 are to
 * be predicted. */
enum { KEYS = 9, CONTENT = 7, TARGETS = 3, HEADS = 2, WIDTH = 3, C = HEADS * WIDTH };
enum { ZERO_ROW = 6, TABLE_ROWS = 13 };

static const int32_t key_starts[] = {0, 6, 9};
static const int32_t content_starts[] = {0, 4, 7};
static const int32_t target_starts[] = {0, 2, 3};
static const int32_t content_places[] = {2, 3, 4, 5, 0, 1, 2};
static const int32_t target_places[] = {3, 5, 0};
/* Ranks: memory and context -1. */
static const int32_t key_orders[] = {-1, -1, -1, 1, -1, 0, 2, -1, -1};
static const int32_t content_orders[] = {0, 1, 0, 0, 2, 0, 0};
static const int32_t target_orders[] = {1, 0, 2};
static const int32_t key_segments[] = {0, 0, 0, 0, 1, 1, 1, 0, 0};
static const int32_t content_segments[] = {0, 0, 1, 1, 1, 0, 0};
static const int32_t target_segments[] = {0, 1, 1};
static const int32_t reversed[] = {0, 1};

/* Both streams: queries of the content, then of the targets. */
struct streams {
    struct kernels kernels;
    struct kernels_dropout dropout;
    bool segments;
    float q[(CONTENT + TARGETS) * C];
    float k[KEYS * C];
    float v[KEYS * C];
    float r[TABLE_ROWS * C];
    float biases[5 * C]; /* content, position, segment, the two segments */
    float weight[(CONTENT + TARGETS) * C];
    float out[(CONTENT + TARGETS) * C];
    float log_sum[HEADS * (CONTENT + TARGETS)];
    float scratch[1 << 16];
};

static void fill(float *values, int64_t count, uint64_t site)
{
    struct random_stream stream =
        random_stream_make(random_key_make(1, RANDOM_PURPOSE_TEST, 3), site);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(2.0 * random_stream_unit(&stream) - 1.0);
    }
}

static struct streams *streams_take(int loop)
{
    struct error error = {0};
    struct streams *const s = memory_take(1, sizeof *s, "test");
    const enum kernels_level level = loop == 0 ? KERNELS_LEVEL_REFERENCE : kernels_level_best();
    CHECK_OK(kernels_open(&s->kernels, level, &error), error);
    ck_assert_int_le(s->kernels.relative_scratch(KEYS, WIDTH), ARRAY_LENGTH(s->scratch));
    fill(s->q, ARRAY_LENGTH(s->q), 1);
    fill(s->k, ARRAY_LENGTH(s->k), 2);
    fill(s->v, ARRAY_LENGTH(s->v), 3);
    fill(s->r, ARRAY_LENGTH(s->r), 4);
    fill(s->biases, ARRAY_LENGTH(s->biases), 5);
    fill(s->weight, ARRAY_LENGTH(s->weight), 6);
    s->dropout = kernels_dropout_make(0.0, (struct random_key){{1, 2}}, 3);
    s->segments = true;
    return s;
}

static struct kernels_relative_shape stream_shape(const struct streams *s, bool targets)
{
    return (struct kernels_relative_shape){.sequence_count = 2,
                                           .query_starts = targets ? target_starts : content_starts,
                                           .key_starts = key_starts,
                                           .heads = HEADS,
                                           .head_width = WIDTH,
                                           .zero_row = ZERO_ROW,
                                           .reversed = reversed,
                                           .places = targets ? target_places : content_places,
                                           .query_orders = targets ? target_orders : content_orders,
                                           .key_orders = key_orders,
                                           .query_segments =
                                               targets ? target_segments : content_segments,
                                           .key_segments = s->segments ? key_segments : NULL,
                                           .sees_itself = !targets,
                                           .scale = 0.6F,
                                           .dropout = s->dropout};
}

static struct kernels_relative_inputs stream_inputs(const struct streams *s, bool targets)
{
    return (struct kernels_relative_inputs){.q = s->q + (targets ? CONTENT * C : 0),
                                            .k = s->k,
                                            .v = s->v,
                                            .r = s->r,
                                            .content_bias = s->biases,
                                            .position_bias = s->biases + C,
                                            .segment_bias = s->biases + 2 * C,
                                            .segment_embedding = s->biases + 3 * C};
}

static void streams_forward(struct streams *s)
{
    for (int targets = 0; targets < 2; targets++) {
        const struct kernels_relative_shape shape = stream_shape(s, targets == 1);
        const struct kernels_relative_inputs inputs = stream_inputs(s, targets == 1);
        s->kernels.relative_forward(s->out + targets * CONTENT * C,
                                    s->log_sum + targets * CONTENT * HEADS, &inputs, &shape,
                                    s->scratch);
    }
}

static void streams_backward(struct streams *s, const struct kernels_relative_gradients *gradients)
{
    for (int targets = 0; targets < 2; targets++) {
        const struct kernels_relative_shape shape = stream_shape(s, targets == 1);
        const struct kernels_relative_inputs inputs = stream_inputs(s, targets == 1);
        struct kernels_relative_gradients to = *gradients;
        to.q += targets * CONTENT * C;
        s->kernels.relative_backward(&to, s->weight + targets * CONTENT * C,
                                     s->log_sum + targets * CONTENT * HEADS, &inputs, &shape,
                                     s->scratch);
    }
}

static double streams_scalar(void *context)
{
    struct streams *const s = context;
    double sum = 0;
    streams_forward(s);
    for (int64_t i = 0; i < ARRAY_LENGTH(s->out); i++) {
        sum += (double)s->weight[i] * (double)s->out[i];
    }
    return sum;
}

static void streams_gradients_check(struct streams *s)
{
    float d_q[(CONTENT + TARGETS) * C];
    float d_k[KEYS * C] = {0};
    float d_v[KEYS * C] = {0};
    float d_r[TABLE_ROWS * C] = {0};
    float d_biases[5 * C] = {0};
    const struct kernels_relative_gradients gradients = {
        d_q, d_k, d_v, d_r, d_biases, d_biases + C, d_biases + 2 * C, d_biases + 3 * C};
    streams_forward(s);
    streams_backward(s, &gradients);
    gradient_check("q", s, streams_scalar, s->q, d_q, ARRAY_LENGTH(d_q));
    gradient_check("k", s, streams_scalar, s->k, d_k, ARRAY_LENGTH(d_k));
    gradient_check("v", s, streams_scalar, s->v, d_v, ARRAY_LENGTH(d_v));
    gradient_check("r", s, streams_scalar, s->r, d_r, ARRAY_LENGTH(d_r));
    gradient_check("content bias", s, streams_scalar, s->biases, d_biases, C);
    gradient_check("position bias", s, streams_scalar, s->biases + C, d_biases + C, C);
    if (s->segments) {
        gradient_check("segments", s, streams_scalar, s->biases + 2 * C, d_biases + 2 * C, 3 * C);
    }
}

START_TEST(test_every_gradient_is_the_derivative_of_both_streams)
{
    struct streams *const s = streams_take(_i);
    streams_gradients_check(s);
    memory_release(s);
}
END_TEST

START_TEST(test_gradients_with_dropout_and_without_segments)
{
    struct streams *const s = streams_take(_i);
    s->dropout = kernels_dropout_make(0.25, (struct random_key){{1, 2}}, 3);
    s->segments = false;
    streams_gradients_check(s);
    memory_release(s);
}
END_TEST

/* Whether the output of query `row` of both streams changes with key and value `key`. */
static bool depends(struct streams *s, int64_t row, int64_t key)
{
    float before[C];
    streams_forward(s);
    memcpy(before, s->out + row * C, sizeof before);
    s->v[key * C] += 1.0F;
    streams_forward(s);
    s->v[key * C] -= 1.0F;
    return memcmp(before, s->out + row * C, sizeof before) != 0;
}

/* Rows are queries of both streams, columns the keys of their own sequence: memory, then tokens. */
START_TEST(test_each_stream_sees_what_comes_before_and_only_the_content_itself)
{
    static const struct {
        int64_t row;
        int64_t first_key;
        const char *sees;
    } wanted[] = {
        {0, 0, "111010"}, /* context: context only */
        {1, 0, "111111"}, /* rank 1: rank 0 too, and itself */
        {3, 0, "111011"}, /* rank 0: itself */
        {4, 6, "111"},
        {CONTENT, 0, "111011"},     /* target of rank 1 */
        {CONTENT + 1, 0, "111010"}, /* target of rank 0 */
        {CONTENT + 2, 6, "011"},
    };
    struct streams *const s = streams_take(_i);
    for (int64_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
        for (int64_t j = 0; wanted[i].sees[j] != '\0'; j++) {
            ck_assert_msg(depends(s, wanted[i].row, wanted[i].first_key + j) ==
                              (wanted[i].sees[j] == '1'),
                          "query %d, key %d", (int)wanted[i].row, (int)j);
        }
    }
    memory_release(s);
}
END_TEST

START_TEST(test_a_query_that_sees_nothing_gives_zero_and_moves_no_gradient)
{
    static const int32_t nothing[CONTENT] = {-1, -1, -1, -1, -1, -1, -1};
    struct streams *const s = streams_take(_i);
    struct kernels_relative_shape shape = stream_shape(s, false);
    const struct kernels_relative_inputs inputs = stream_inputs(s, false);
    float gradients[8][TABLE_ROWS * C] = {{0}};
    const struct kernels_relative_gradients to = {gradients[0], gradients[1], gradients[2],
                                                  gradients[3], gradients[4], gradients[5],
                                                  gradients[6], gradients[7]};
    shape.query_orders = nothing;
    shape.sees_itself = false;
    s->kernels.relative_forward(s->out, s->log_sum, &inputs, &shape, s->scratch);
    s->kernels.relative_backward(&to, s->weight, s->log_sum, &inputs, &shape, s->scratch);
    for (int64_t i = 0; i < CONTENT * C; i++) {
        ck_assert(s->out[i] == 0.0F);
    }
    for (int64_t i = 0; i < 8 * TABLE_ROWS * C; i++) {
        ck_assert(gradients[i / (TABLE_ROWS * C)][i % (TABLE_ROWS * C)] == 0.0F);
    }
    memory_release(s);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "kernels relative attention",
        (const TTest *[]){test_every_gradient_is_the_derivative_of_both_streams,
                          test_gradients_with_dropout_and_without_segments,
                          test_each_stream_sees_what_comes_before_and_only_the_content_itself,
                          test_a_query_that_sees_nothing_gives_zero_and_moves_no_gradient, NULL},
        2);
}
