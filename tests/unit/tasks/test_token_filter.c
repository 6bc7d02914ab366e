/* tasks/token_filter.h against the golden filters, and its own rules: ties, edges, draws. */
#include "tasks/token_filter.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "tests/support/golden_file.h"
#include "tests/support/suite.h"

static const struct token_filter_options none = {1.0, 0, 1.0, 1.0};

/* Every row of the file's logits through `options`, against tensor `name`: the same tokens removed,
 * other logits within two roundings of float. */
static void golden_check(const struct golden_file *file, const char *name,
                         struct token_filter_options options)
{
    const struct golden_tensor logits = golden_file_find(file, "logits");
    const struct golden_tensor tokens = golden_file_find(file, "history");
    const struct golden_tensor wanted = golden_file_find(file, name);
    const int64_t v = logits.shape[1];
    const int64_t length = tokens.shape[1];
    float *const values = golden_floats(&logits);
    int32_t *const history = golden_int32s(&tokens);
    struct token_filter filter;
    token_filter_init(&filter, v);
    for (int64_t row = 0; row < logits.shape[0]; row++) {
        float *const out = values + row * v;
        token_filter_apply(&filter, out, history + row * length, length, &options);
        for (int64_t i = 0; i < v; i++) {
            const double exact = golden_value(&wanted, row * v + i);
            ck_assert_msg(isinf(exact) ? (double)out[i] == exact
                                       : fabs((double)out[i] - exact) <= 2e-7 * fabs(exact),
                          "%s, row %d, token %d: %g, not %g", name, (int)row, (int)i,
                          (double)out[i], exact);
        }
    }
    token_filter_deinit(&filter);
    memory_release(values);
    memory_release(history);
}

START_TEST(test_every_filter_keeps_the_golden_tokens)
{
    struct golden_file file;
    golden_file_open(&file, "ops/sampling_filters.safetensors");
    struct token_filter_options options = none;
    options.temperature = 0.7;
    golden_check(&file, "temperature_0.7", options);
    options = none;
    options.top_k = 5;
    golden_check(&file, "top_k_5", options);
    options = none;
    options.top_p = 0.9;
    golden_check(&file, "top_p_0.9", options);
    options.top_p = 0.3;
    golden_check(&file, "top_p_0.3", options);
    options = none;
    options.repetition_penalty = 1.3;
    golden_check(&file, "repetition_1.3", options);
    golden_check(&file, "chain_t0.8_k12_p0.85", (struct token_filter_options){0.8, 12, 0.85, 1.0});
    golden_file_close(&file);
}
END_TEST

/* Draws at evenly spaced places hit each token as often as its golden probability says. */
START_TEST(test_draws_follow_the_golden_probabilities)
{
    enum { DRAWS = 10000, V_MAX = 256 };
    struct golden_file file;
    golden_file_open(&file, "ops/sampling_filters.safetensors");
    const struct golden_tensor chain = golden_file_find(&file, "chain_t0.8_k12_p0.85");
    const struct golden_tensor probabilities = golden_file_find(&file, "chain_probabilities");
    const int64_t v = chain.shape[1];
    float *const logits = golden_floats(&chain);
    struct token_filter filter;
    ck_assert_int_le(v, V_MAX);
    token_filter_init(&filter, v);
    for (int64_t row = 0; row < chain.shape[0]; row++) {
        int64_t counts[V_MAX] = {0};
        for (int64_t draw = 0; draw < DRAWS; draw++) {
            counts[token_filter_draw(&filter, logits + row * v, ((double)draw + 0.5) / DRAWS)]++;
        }
        for (int64_t i = 0; i < v; i++) {
            const double expected = DRAWS * golden_value(&probabilities, row * v + i);
            ck_assert_double_le(fabs((double)counts[i] - expected), 1.01);
        }
    }
    token_filter_deinit(&filter);
    memory_release(logits);
    golden_file_close(&file);
}
END_TEST

START_TEST(test_of_equal_logits_the_lower_ids_are_kept)
{
    float logits[] = {1.0F, 2.0F, 2.0F, 2.0F, 1.0F};
    struct token_filter filter;
    token_filter_init(&filter, 5);
    ck_assert_int_eq(token_filter_best(&filter, logits), 1);
    token_filter_top_k(&filter, logits, 2);
    static const float two[] = {-INFINITY, 2.0F, 2.0F, -INFINITY, -INFINITY};
    ck_assert_mem_eq(logits, two, sizeof two);
    token_filter_top_p(&filter, logits, 0.5);
    ck_assert(logits[1] == 2.0F && logits[2] == -INFINITY);
    token_filter_deinit(&filter);
}
END_TEST

START_TEST(test_top_k_keeps_what_a_full_sort_keeps)
{
    enum { V = 1000 };
    static float logits[V];
    static float filtered[V];
    struct random_stream stream = random_stream_make(random_key_make(4, RANDOM_PURPOSE_TEST, 0), 0);
    struct token_filter filter;
    token_filter_init(&filter, V);
    for (int64_t i = 0; i < V; i++) {
        logits[i] = (float)random_stream_below(&stream, 200); /* many ties */
    }
    for (int64_t k = 1; k <= V + 1; k += 37) {
        memcpy(filtered, logits, sizeof filtered);
        token_filter_top_k(&filter, filtered, k);
        for (int64_t i = 0; i < V; i++) {
            int64_t before = 0;
            for (int64_t j = 0; j < V; j++) {
                before += logits[j] > logits[i] || (logits[j] == logits[i] && j < i) ? 1 : 0;
            }
            ck_assert(filtered[i] == (before < k ? logits[i] : -INFINITY));
        }
    }
    token_filter_deinit(&filter);
}
END_TEST

START_TEST(test_edges_leave_all_or_one)
{
    static const float before[] = {-1.0F, 3.0F, -INFINITY, 0.5F};
    float logits[4];
    struct token_filter filter;
    token_filter_init(&filter, 4);
    memcpy(logits, before, sizeof logits);
    token_filter_apply(&filter, logits, NULL, 0, &none);
    ck_assert_mem_eq(logits, before, sizeof logits);
    token_filter_top_p(&filter, logits, 1e-9);
    ck_assert(logits[1] == 3.0F && isinf(logits[0]) && isinf(logits[2]) && isinf(logits[3]));
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(token_filter_draw(&filter, logits, i / 10.0), 1);
    }
    memcpy(logits, before, sizeof logits);
    ck_assert_int_eq(token_filter_draw(&filter, logits, 0.0), 0);
    ck_assert_int_eq(token_filter_draw(&filter, logits, 1.0 - 0x1p-53), 3);
    token_filter_deinit(&filter);
    token_filter_deinit(&filter);
}
END_TEST

START_TEST(test_a_token_that_occurs_twice_is_penalised_once_in_every_call)
{
    static const int32_t history[] = {2, 0, 2};
    float logits[] = {-1.0F, 1.0F, 4.0F};
    struct token_filter filter;
    token_filter_init(&filter, 3);
    token_filter_repetition(&filter, logits, history, 3, 2.0);
    ck_assert(logits[0] == -2.0F && logits[1] == 1.0F && logits[2] == 2.0F);
    token_filter_repetition(&filter, logits, history, 3, 2.0);
    ck_assert(logits[0] == -4.0F && logits[1] == 1.0F && logits[2] == 1.0F);
    token_filter_deinit(&filter);
}
END_TEST

int main(void)
{
    return suite_run(
        "tasks token filter",
        (const TTest *[]){test_every_filter_keeps_the_golden_tokens,
                          test_draws_follow_the_golden_probabilities,
                          test_of_equal_logits_the_lower_ids_are_kept,
                          test_top_k_keeps_what_a_full_sort_keeps, test_edges_leave_all_or_one,
                          test_a_token_that_occurs_twice_is_penalised_once_in_every_call, NULL});
}
