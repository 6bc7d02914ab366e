/* checkpoints/hf_weights: tensors under all the names and in all the files that they come in. */
#include "checkpoints/hf_weights.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoints/hf_folder.h"
#include "tests/unit/checkpoints/hf_fixture.h"

/* The tensors of `state` with one renamed (`to` NULL: left out) and possibly one more. */
static void weights_put(const struct model_state *state, const char *folder, const char *from,
                        const char *to, const struct safetensor_source *more)
{
    struct error error;
    char path[PATH_BYTES];
    struct safetensor_source sources[64];
    int64_t count = 0;
    for (int64_t i = 0; i < state->table.row_count; i++) {
        const struct parameter *const row = &state->table.rows[i];
        const bool renamed = strcmp(row->name, from) == 0;
        if (!renamed || to != NULL) {
            sources[count++] =
                (struct safetensor_source){renamed ? to : row->name, row->shape, row->axis_count,
                                           state->weights + row->offset};
        }
    }
    if (more != NULL) {
        sources[count++] = *more;
    }
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, "model.safetensors", &error), error);
    CHECK_OK(safetensors_write(path, sources, count, &error), error);
}

START_TEST(test_hf_weights_accepts_older_names_and_tied_copies)
{
    struct model_options options = tiny_options();
    struct model_state state;
    struct error error;
    char folder[PATH_BYTES];
    model_state_init(&state, &options);
    scratch_path(folder, "older");
    const size_t count = (size_t)state.table.element_count;
    float *const weights = memory_take(count, sizeof *weights, "test");
    const struct parameter *const word =
        parameter_find(&state.table, "roberta.embeddings.word_embeddings.weight");
    const struct safetensor_source copy = {"lm_head.decoder.weight", word->shape, 2,
                                           state.weights + word->offset};
    static const float other[36] = {1};
    const struct safetensor_source untied = {"lm_head.decoder.weight", word->shape, 2, other};
    const struct safetensor_source pooler = {"roberta.pooler.dense.weight", (const int64_t[]){2, 3},
                                             2, other};
    const struct safetensor_source ids = {"roberta.embeddings.position_ids",
                                          (const int64_t[]){1, 7}, 2, other};
    static const char norm[] = "roberta.embeddings.LayerNorm.weight";
    const struct {
        const char *from;
        const char *to;
        const struct safetensor_source *more;
        enum status expected;
    } cases[] = {
        {norm, "roberta.embeddings.LayerNorm.gamma", NULL, STATUS_OK},
        {"roberta.embeddings.LayerNorm.bias", "roberta.embeddings.LayerNorm.beta", NULL, STATUS_OK},
        {"lm_head.bias", "lm_head.decoder.bias", NULL, STATUS_OK},
        {"", NULL, &copy, STATUS_OK},
        {"", NULL, &pooler, STATUS_OK},
        {"", NULL, &ids, STATUS_OK},
        {"", NULL, &untied, STATUS_FORMAT},
        {norm, NULL, NULL, STATUS_FORMAT},
        {norm, "roberta.embeddings.LayerNorm.delta", NULL, STATUS_FORMAT},
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        weights_put(&state, folder, cases[i].from, cases[i].to, cases[i].more);
        const enum status status = hf_folder_weights(folder, &state.table, weights, NULL, &error);
        ck_assert_msg(status == cases[i].expected, "case %lld", (long long)i);
        if (status == STATUS_OK) {
            ck_assert_int_eq(memcmp(weights, state.weights, count * sizeof *weights), 0);
        } else {
            ck_assert_ptr_nonnull(strstr(error.message, i == 6 ? "lm_head.decoder.weight" : norm));
        }
    }
    memory_release(weights);
    model_state_deinit(&state);
}
END_TEST

/* Rows [first, end) of `state` into one file, with `lead` for the family's prefix "bert." and
 * before the names of heads what stands before the prefix in `lead`. */
static void part_put(const struct model_state *state, const char *folder, const char *file,
                     const char *lead, int64_t first, int64_t end)
{
    struct error error;
    char path[PATH_BYTES];
    char names[64][2 * PARAMETER_NAME_BYTES];
    struct safetensor_source sources[64];
    const char *const prefix = strstr(lead, "bert.");
    for (int64_t i = first; i < end; i++) {
        const struct parameter *const row = &state->table.rows[i];
        const bool own = strncmp(row->name, "bert.", 5) == 0;
        (void)snprintf(names[i - first], sizeof names[0], "%.*s%s",
                       (int)(own              ? strlen(lead)
                             : prefix != NULL ? (size_t)(prefix - lead)
                                              : 0),
                       lead, row->name + (own ? 5 : 0));
        sources[i - first] = (struct safetensor_source){
            names[i - first], row->shape, row->axis_count, state->weights + row->offset};
    }
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, file, &error), error);
    CHECK_OK(safetensors_write(path, sources, end - first, &error), error);
}

static struct model_options bert_options(void)
{
    struct model_options options = tiny_options();
    options.family = MODEL_FAMILY_BERT;
    options.position_offset = 0;
    options.without_pairs = false;
    return options;
}

START_TEST(test_hf_weights_are_found_with_more_and_with_fewer_prefixes)
{
    static const char *const leads[] = {"bert.", "", "model.bert.", "encoder."};
    struct model_options options = bert_options();
    struct model_state state;
    struct error error;
    model_state_init(&state, &options);
    const size_t count = (size_t)state.table.element_count;
    float *const weights = memory_take(count, sizeof *weights, "test");
    for (int64_t i = 0; i < ARRAY_LENGTH(leads); i++) {
        char folder[PATH_BYTES];
        scratch_path(folder, "prefixes");
        part_put(&state, folder, "model.safetensors", leads[i], 0, state.table.row_count);
        CHECK_OK(hf_folder_weights(folder, &state.table, weights, NULL, &error), error);
        ck_assert_int_eq(memcmp(weights, state.weights, count * sizeof *weights), 0);
    }
    memory_release(weights);
    model_state_deinit(&state);
}
END_TEST

START_TEST(test_hf_weights_are_read_from_the_files_of_an_index)
{
    struct model_options options = bert_options();
    struct model_state state;
    struct error error;
    char folder[PATH_BYTES];
    model_state_init(&state, &options);
    scratch_path(folder, "parts");
    const size_t count = (size_t)state.table.element_count;
    float *const weights = memory_take(count, sizeof *weights, "test");
    part_put(&state, folder, "model-1.safetensors", "bert.", 0, 7);
    part_put(&state, folder, "model-2.safetensors", "bert.", 7, state.table.row_count);
    text_put(folder, "model.safetensors.index.json",
             "{\"weight_map\": {\"a\": \"model-1.safetensors\", \"b\": \"model-2.safetensors\", "
             "\"c\": \"model-1.safetensors\"}}");
    CHECK_OK(hf_folder_weights(folder, &state.table, weights, NULL, &error), error);
    ck_assert_int_eq(memcmp(weights, state.weights, count * sizeof *weights), 0);
    static const char *const bad[] = {
        "{}",
        "{\"weight_map\": {\"a\": 1}}",
        "{\"weight_map\": {\"a\": \"../model-1.safetensors\"}}",
        "{\"weight_map\": {\"a\": \"model-1.safetensors\"}}", /* the rest is missing */
        "{\"weight_map\": {}}",
    };
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        text_put(folder, "model.safetensors.index.json", bad[i]);
        CHECK_FAILS(hf_folder_weights(folder, &state.table, weights, NULL, &error), STATUS_FORMAT);
        ck_assert_ptr_nonnull(strstr(error.message, "index.json"));
    }
    memory_release(weights);
    model_state_deinit(&state);
}
END_TEST

START_TEST(test_hf_weights_may_lack_a_head_where_that_is_allowed)
{
    struct model_options options = bert_options();
    struct model_state state;
    struct error error;
    char folder[PATH_BYTES];
    model_state_init(&state, &options);
    scratch_path(folder, "headless");
    const size_t count = (size_t)state.table.element_count;
    float *const weights = memory_take(count, sizeof *weights, "test");
    bool *const fresh = memory_take((size_t)state.table.row_count, sizeof *fresh, "test");
    const struct parameter_group *const head =
        &state.table.groups[parameter_head_group(&state.table)];
    part_put(&state, folder, "model.safetensors", "", 0, head->first_row);
    CHECK_FAILS(hf_folder_weights(folder, &state.table, weights, NULL, &error), STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "cls.predictions.transform.dense.weight"));
    for (size_t i = 0; i < count; i++) {
        weights[i] = 3.0F;
    }
    CHECK_OK(hf_folder_weights(folder, &state.table, weights, fresh, &error), error);
    for (int64_t i = 0; i < state.table.row_count; i++) {
        const struct parameter *const row = &state.table.rows[i];
        ck_assert_int_eq(fresh[i], i >= head->first_row);
        ck_assert(weights[row->offset] == (fresh[i] ? 3.0F : state.weights[row->offset]));
    }
    part_put(&state, folder, "model.safetensors", "", 0, head->first_row - 1); /* and of a layer */
    CHECK_FAILS(hf_folder_weights(folder, &state.table, weights, fresh, &error), STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "1 tensors are missing: bert.encoder.layer.0."));
    memory_release(fresh);
    memory_release(weights);
    model_state_deinit(&state);
}
END_TEST

START_TEST(test_hf_weights_of_another_shape_are_refused)
{
    struct model_options options = tiny_options();
    struct model_state state;
    struct model_state wider;
    struct error error;
    char folder[PATH_BYTES];
    model_state_init(&state, &options);
    options.vocabulary = 10;
    model_state_init(&wider, &options);
    scratch_path(folder, "shape");
    weights_put(&state, folder, "", NULL, NULL);
    CHECK_FAILS(hf_folder_weights(folder, &wider.table, wider.weights, NULL, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "word_embeddings"));
    model_state_deinit(&wider);
    model_state_deinit(&state);
}
END_TEST

int main(void)
{
    return suite_run("hf_weights", (const TTest *[]){
                                       test_hf_weights_accepts_older_names_and_tied_copies,
                                       test_hf_weights_are_found_with_more_and_with_fewer_prefixes,
                                       test_hf_weights_are_read_from_the_files_of_an_index,
                                       test_hf_weights_may_lack_a_head_where_that_is_allowed,
                                       test_hf_weights_of_another_shape_are_refused,
                                       NULL,
                                   });
}
