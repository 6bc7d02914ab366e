/* tasks/generate: the reference's greedy ids (golden case gpt2_generate), with and without the
 * cache; draws. */
#include "tasks/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "checkpoints/hf_folder.h"
#include "model/attention_cache.h"
#include "tests/support/golden_file.h"
#include "tests/support/suite.h"

enum { NEW_TOKENS = 24, PROMPTS = 5 };

/* A small GPT, and what it generates. */
struct gpt {
    struct model_options options;
    struct parameter_table table;
    struct kernels kernels;
    struct model *model;
    float *weights;
    int32_t ids[64]; /* taken from the sink */
    int64_t count;
};

static void gpt_open_model(struct gpt *gpt)
{
    struct error error;
    const struct batch_limits limits = {1, gpt->options.positions, 1};
    CHECK_OK(kernels_open(&gpt->kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(model_open(&gpt->model, &gpt->kernels, &gpt->options, &limits, NULL, &error), error);
}

static void gpt_open(struct gpt *gpt)
{
    struct error error;
    memset(gpt, 0, sizeof *gpt);
    gpt->options = (struct model_options){
        .family = MODEL_FAMILY_GPT,
        .norm = MODEL_NORM_PRE,
        .activation = MODEL_ACTIVATION_GELU_TANH,
        .layers = 2,
        .hidden = 12,
        .heads = 3,
        .feed_forward = 20,
        .positions = 20,
        .vocabulary = 31,
        .type_vocabulary = 1,
        .pad_id = -1,
        .norm_epsilon = 1e-5,
        .init_range = 0.3,
    };
    CHECK_OK(parameter_table_init(&gpt->table, &gpt->options, &error), error);
    gpt->weights = memory_take((size_t)gpt->table.element_count, sizeof(float), "test");
    parameter_fill(&gpt->table, gpt->options.init_range, 5, 0, gpt->table.element_count,
                   gpt->weights);
    gpt_open_model(gpt);
}

static void gpt_close(struct gpt *gpt)
{
    model_close(gpt->model);
    memory_release(gpt->weights);
    parameter_table_deinit(&gpt->table);
}

static enum status id_take(void *context, int32_t id, struct error *error)
{
    struct gpt *const gpt = context;
    (void)error;
    ck_assert_int_lt(gpt->count, ARRAY_LENGTH(gpt->ids));
    gpt->ids[gpt->count++] = id;
    return STATUS_OK;
}

static struct generate_options greedy_options(const struct gpt *gpt)
{
    return (struct generate_options){.token_count = NEW_TOKENS,
                                     .end_id = -1,
                                     .id_count = gpt->options.vocabulary,
                                     .greedy = true,
                                     .filter = {1.0, 0, 1.0, 1.0},
                                     .seed = 1};
}

static void run_generate(struct gpt *gpt, const int32_t *prompt, int64_t count,
                         const struct generate_options *options)
{
    struct error error;
    const struct generate_sink sink = {id_take, gpt};
    gpt->count = 0;
    CHECK_OK(generate(gpt->model, &gpt->kernels, &gpt->options, gpt->weights, prompt, count,
                      options, &sink, &error),
             error);
}

/* Ids of one prompt of the golden case, with or without cache. */
static void check_prompt(struct gpt *gpt, const struct golden_file *file, int64_t number,
                         const struct generate_options *options)
{
    char name[64];
    (void)snprintf(name, sizeof name, "inputs.prompt.%lld", (long long)number);
    const struct golden_tensor prompt = golden_file_find(file, name);
    (void)snprintf(name, sizeof name, "outputs.generated.%lld", (long long)number);
    const struct golden_tensor expected = golden_file_find(file, name);
    int32_t *const ids = golden_int32s(&prompt);
    run_generate(gpt, ids, prompt.count, options);
    ck_assert_int_eq(gpt->count, expected.count);
    for (int64_t i = 0; i < expected.count; i++) {
        ck_assert_int_eq(gpt->ids[i], golden_integer(&expected, i));
    }
    memory_release(ids);
}

START_TEST(test_generate_gives_the_ids_of_the_reference)
{
    char folder[PATH_BYTES];
    struct error error;
    struct gpt gpt = {0};
    CHECK_OK(path_join(folder, SHARDLM_GOLDEN_SHARED, "cases/gpt2_generate", &error), error);
    if (!folder_exists(folder)) {
        return; /* the whole reference set is not here */
    }
    CHECK_OK(hf_folder_options(folder, &gpt.options, &error), error);
    CHECK_OK(parameter_table_init(&gpt.table, &gpt.options, &error), error);
    gpt.weights = memory_take((size_t)gpt.table.element_count, sizeof(float), "test");
    CHECK_OK(hf_folder_weights(folder, &gpt.table, gpt.weights, NULL, &error), error);
    gpt_open_model(&gpt);
    struct golden_file file;
    golden_file_open(&file, "cases/gpt2_generate/case.safetensors");
    for (int recompute = 0; recompute < 2; recompute++) {
        struct generate_options options = greedy_options(&gpt);
        options.end_id = 156;
        options.recompute = recompute == 1;
        for (int64_t i = 0; i < PROMPTS; i++) {
            check_prompt(&gpt, &file, i, &options);
        }
    }
    golden_file_close(&file);
    gpt_close(&gpt);
}
END_TEST

/* Logits behind a text are the same whether it comes at once, in parts or token by token. */
START_TEST(test_generate_cache_agrees_with_the_whole_text)
{
    struct gpt gpt;
    struct error error;
    gpt_open(&gpt);
    const struct batch_limits limits = {1, gpt.options.positions, 1};
    struct batch batch;
    batch_init(&batch, &limits);
    const size_t v = (size_t)gpt.options.vocabulary;
    float *const whole = memory_take(v, sizeof *whole, "test");
    float *const parts = memory_take(v, sizeof *parts, "test");
    static const int64_t part_counts[][4] = {{17}, {9, 8}, {1, 15, 1}};
    for (int64_t i = 0; i < ARRAY_LENGTH(part_counts); i++) {
        struct attention_cache cache;
        attention_cache_init(&cache, &gpt.kernels, &gpt.options, gpt.options.positions);
        batch.sequence_count = 1;
        batch.target_count = 1;
        batch.starts[0] = 0;
        for (int64_t part = 0; part < 4 && part_counts[i][part] > 0; part++) {
            const int64_t n = part_counts[i][part];
            batch.token_count = n;
            batch.starts[1] = (int32_t)n;
            batch.target_rows[0] = (int32_t)n - 1;
            for (int64_t j = 0; j < n; j++) {
                batch.positions[j] = (int32_t)(cache.count + j);
                batch.ids[j] = (batch.positions[j] * 7 + 3) % 31;
            }
            CHECK_OK(model_logits_next(gpt.model, &cache, gpt.weights, &batch, parts, &error),
                     error);
        }
        ck_assert_int_eq(cache.count, 17);
        attention_cache_deinit(&cache);
        batch.token_count = 17;
        batch.starts[1] = 17;
        batch.target_rows[0] = 16;
        for (int32_t j = 0; j < 17; j++) {
            batch.positions[j] = j;
            batch.ids[j] = (j * 7 + 3) % 31;
        }
        CHECK_OK(model_logits(gpt.model, gpt.weights, &batch, whole, &error), error);
        for (size_t j = 0; j < v; j++) { /* logits of about 1: a few roundings */
            ck_assert_double_eq_tol((double)parts[j], (double)whole[j], 2e-5);
        }
    }
    memory_release(parts);
    memory_release(whole);
    batch_deinit(&batch);
    gpt_close(&gpt);
}
END_TEST

START_TEST(test_generate_draws_the_same_text_for_the_same_seed)
{
    static const int32_t prompt[] = {3, 1, 4};
    struct gpt gpt;
    gpt_open(&gpt);
    struct generate_options options = greedy_options(&gpt);
    options.greedy = false;
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_eq(gpt.count, 17); /* 20 positions */
    int32_t first[17];
    memcpy(first, gpt.ids, sizeof first);
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_eq(memcmp(first, gpt.ids, sizeof first), 0);
    options.recompute = true;
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_eq(memcmp(first, gpt.ids, sizeof first), 0);
    options.seed = 2;
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_ne(memcmp(first, gpt.ids, sizeof first), 0);
    options.filter.top_k = 1; /* leaves what greedy takes */
    run_generate(&gpt, prompt, 3, &options);
    memcpy(first, gpt.ids, sizeof first);
    options.greedy = true;
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_eq(memcmp(first, gpt.ids, sizeof first), 0);
    gpt_close(&gpt);
}
END_TEST

START_TEST(test_generate_stops_at_the_end_and_refuses_a_full_prompt)
{
    static const int32_t prompt[20] = {3, 1, 4};
    struct gpt gpt;
    struct error error;
    gpt_open(&gpt);
    struct generate_options options = greedy_options(&gpt);
    run_generate(&gpt, prompt, 3, &options);
    const int32_t third = gpt.ids[2];
    int64_t place = 0;
    while (gpt.ids[place] != third) {
        place++;
    }
    options.end_id = third;
    run_generate(&gpt, prompt, 3, &options);
    ck_assert_int_eq(gpt.count, place + 1);
    ck_assert_int_eq(gpt.ids[place], third);
    const struct generate_sink sink = {id_take, &gpt};
    CHECK_FAILS(generate(gpt.model, &gpt.kernels, &gpt.options, gpt.weights, prompt, 20, &options,
                         &sink, &error),
                STATUS_INPUT);
    static const int32_t wild[] = {31};
    CHECK_FAILS(generate(gpt.model, &gpt.kernels, &gpt.options, gpt.weights, wild, 1, &options,
                         &sink, &error),
                STATUS_INPUT);
    gpt_close(&gpt);
}
END_TEST

int main(void)
{
    return suite_run("generate", (const TTest *[]){
                                     test_generate_gives_the_ids_of_the_reference,
                                     test_generate_cache_agrees_with_the_whole_text,
                                     test_generate_draws_the_same_text_for_the_same_seed,
                                     test_generate_stops_at_the_end_and_refuses_a_full_prompt,
                                     NULL,
                                 });
}
