/* checkpoints/hf_folder: what transformers wrote is read, what we write has its bytes. That transformers loads our
 * folders is shown with transformers itself: docs/formats/huggingface.md says how. */
#include "checkpoints/hf_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checkpoints/safetensors.h"
#include "tests/support/suite.h"

static struct model_options tiny_options(void)
{
    return (struct model_options){
        .layers = 1,
        .hidden = 4,
        .heads = 2,
        .feed_forward = 6,
        .positions = 5,
        .position_offset = 2,
        .vocabulary = 9,
        .type_vocabulary = 1,
        .pad_id = 1,
        .dropout = 0.1,
        .attention_dropout = 0.25,
        .norm_epsilon = 1e-5,
        .init_range = 0.02,
    };
}

struct model_state {
    struct model_options options;
    struct parameter_table table;
    float *weights;
};

static void model_state_init(struct model_state *state, const struct model_options *options)
{
    struct error error;
    state->options = *options;
    CHECK_OK(parameter_table_init(&state->table, options, &error), error);
    state->weights = memory_take((size_t)state->table.element_count, sizeof(float), "test");
    parameter_fill(&state->table, 1.0, 7, 0, state->table.element_count, state->weights);
}

static void model_state_deinit(struct model_state *state)
{
    memory_release(state->weights);
    parameter_table_deinit(&state->table);
}

static void scratch_path(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), name, &error), error);
    CHECK_OK(folder_remove(path, &error), error);
}

static void text_put(const char *folder, const char *name, const char *text)
{
    struct error error;
    char path[PATH_BYTES];
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, name, &error), error);
    CHECK_OK(file_write_durable(path, text, strlen(text), &error), error);
}

static void check_equal_files(const char *first, const char *second, const char *name)
{
    struct error error;
    struct digest digests[2];
    char path[PATH_BYTES];
    int64_t size_bytes;
    CHECK_OK(path_join(path, first, name, &error), error);
    CHECK_OK(file_digest(path, &digests[0], &size_bytes, &error), error);
    CHECK_OK(path_join(path, second, name, &error), error);
    CHECK_OK(file_digest(path, &digests[1], &size_bytes, &error), error);
    ck_assert(digest_equal(digests[0], digests[1]));
}

START_TEST(test_hf_folder_of_transformers_is_read_and_written_with_the_same_bytes)
{
    const char *const places[] = {SHARDLM_GOLDEN_SHARED, SHARDLM_GOLDEN_SMALL};
    char folder[PATH_BYTES] = "";
    struct error error;
    for (int64_t i = ARRAY_LENGTH(places) - 1; i >= 0; i--) {
        char candidate[PATH_BYTES];
        CHECK_OK(path_join(candidate, places[i], "cases/roberta_mlm", &error), error);
        if (folder_exists(candidate)) {
            memcpy(folder, candidate, sizeof folder);
        }
    }
    ck_assert_msg(folder[0] != '\0', "no golden data");
    struct model_options options;
    CHECK_OK(hf_folder_options(folder, &options, &error), error);
    ck_assert_int_eq(options.norm, MODEL_NORM_POST);
    ck_assert_int_eq(options.activation, MODEL_ACTIVATION_GELU);
    ck_assert_int_eq(options.position_offset, 2);
    ck_assert_double_eq(options.norm_epsilon, 1e-5);
    ck_assert_double_eq(options.dropout, 0.0);
    struct model_state state;
    model_state_init(&state, &options);
    CHECK_OK(hf_folder_weights(folder, &state.table, state.weights, &error), error);
    char written[PATH_BYTES];
    scratch_path(written, "golden-again");
    CHECK_OK(hf_folder_write(written, &options, &state.table, state.weights, NULL, &error), error);
    check_equal_files(folder, written, "model.safetensors");
    model_state_deinit(&state);
}
END_TEST

static void check_round_trip(const struct model_options *options, const char *name)
{
    struct model_state state;
    struct error error;
    char folder[PATH_BYTES];
    model_state_init(&state, options);
    scratch_path(folder, name);
    CHECK_OK(hf_folder_write(folder, options, &state.table, state.weights, NULL, &error), error);
    struct model_options read;
    CHECK_OK(hf_folder_options(folder, &read, &error), error);
    ck_assert_int_eq(read.family, options->family);
    ck_assert_int_eq(read.activation, options->activation);
    ck_assert_int_eq(read.norm, options->norm);
    ck_assert_int_eq(read.layers, options->layers);
    ck_assert_int_eq(read.hidden, options->hidden);
    ck_assert_int_eq(read.heads, options->heads);
    ck_assert_int_eq(read.feed_forward, options->feed_forward);
    ck_assert_int_eq(read.positions, options->positions);
    ck_assert_int_eq(read.position_offset, options->position_offset);
    ck_assert_int_eq(read.vocabulary, options->vocabulary);
    ck_assert_int_eq(read.type_vocabulary, options->type_vocabulary);
    ck_assert_int_eq(read.pad_id, options->pad_id);
    ck_assert_double_eq(read.dropout, options->dropout);
    ck_assert_double_eq(read.attention_dropout, options->attention_dropout);
    ck_assert_double_eq(read.norm_epsilon, options->norm_epsilon);
    ck_assert_double_eq(read.init_range, options->init_range);
    const size_t size_bytes = (size_t)state.table.element_count * sizeof(float);
    float *const weights = memory_take((size_t)state.table.element_count, sizeof *weights, "test");
    memset(weights, 1, size_bytes); /* padding must be cleared */
    CHECK_OK(hf_folder_weights(folder, &state.table, weights, &error), error);
    ck_assert_int_eq(memcmp(weights, state.weights, size_bytes), 0);
    memory_release(weights);
    model_state_deinit(&state);
}

START_TEST(test_hf_folder_round_trips_every_norm_and_activation)
{
    for (int activation = MODEL_ACTIVATION_GELU; activation <= MODEL_ACTIVATION_RELU;
         activation++) {
        struct model_options options = tiny_options();
        options.activation = (enum model_activation)activation;
        options.norm = MODEL_NORM_POST;
        check_round_trip(&options, "post");
        options.norm = MODEL_NORM_PRE;
        check_round_trip(&options, "pre");
    }
}
END_TEST

START_TEST(test_hf_folder_takes_a_tokenizer_along_and_describes_it)
{
    struct model_options options = tiny_options();
    struct model_state state;
    struct error error;
    char tokenizer[PATH_BYTES];
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    model_state_init(&state, &options);
    scratch_path(tokenizer, "tokenizer");
    scratch_path(folder, "with-tokenizer/out/"); /* parents are made, the slash does no harm */
    static const char text[] =
        "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\"}, {\"id\": 5, \"content\": "
        "\"<mask>\","
        " \"lstrip\": true}], \"pre_tokenizer\": {\"add_prefix_space\": true}}";
    text_put(tokenizer, "tokenizer.json", text);
    text_put(tokenizer, "merges.txt", "#version: 0.2\n");
    CHECK_OK(hf_folder_write(folder, &options, &state.table, state.weights, tokenizer, &error),
             error);
    check_equal_files(tokenizer, folder, "tokenizer.json");
    check_equal_files(tokenizer, folder, "merges.txt");
    json_t *root;
    CHECK_OK(path_join(path, folder, "config.json", &error), error);
    CHECK_OK(json_read_file(path, 10000, &root, &error), error);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "bos_token_id")), 3);
    ck_assert(json_is_null(json_object_get(root, "eos_token_id"))); /* this tokenizer has none */
    json_decref(root);
    CHECK_OK(path_join(path, folder, "tokenizer_config.json", &error), error);
    CHECK_OK(json_read_file(path, 10000, &root, &error), error);
    ck_assert_str_eq(json_string_value(json_object_get(root, "bos_token")), "<s>");
    ck_assert_ptr_null(json_object_get(root, "eos_token"));
    ck_assert(json_is_true(json_object_get(root, "add_prefix_space")));
    ck_assert(json_is_true(json_object_get(json_object_get(root, "mask_token"), "lstrip")));
    ck_assert_int_eq(json_integer_value(json_object_get(root, "model_max_length")), 5);
    json_decref(root);
    model_state_deinit(&state);
}
END_TEST

START_TEST(test_hf_folder_write_touches_nothing_that_is_there)
{
    struct model_options options = tiny_options();
    struct model_state state;
    struct error error;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    model_state_init(&state, &options);
    scratch_path(folder, "occupied");
    text_put(folder, "notes", "mine");
    CHECK_FAILS(hf_folder_write(folder, &options, &state.table, state.weights, NULL, &error),
                STATUS_INPUT);
    CHECK_OK(path_join(path, folder, "notes", &error), error);
    ck_assert(file_exists(path));
    CHECK_FAILS(hf_folder_write(path, &options, &state.table, state.weights, NULL, &error),
                STATUS_INPUT);
    CHECK_OK(file_remove(path, &error), error);
    CHECK_OK(hf_folder_write(folder, &options, &state.table, state.weights, NULL, &error), error);

    scratch_path(folder, "failed"); /* a tokenizer that is not there: nothing is left behind */
    CHECK_OK(path_join(path, suite_scratch(), "no-such-tokenizer", &error), error);
    CHECK_FAILS(hf_folder_write(folder, &options, &state.table, state.weights, path, &error),
                STATUS_INPUT);
    ck_assert(!folder_exists(folder));
    CHECK_OK(path_join(path, suite_scratch(), ".failed.partial", &error), error);
    ck_assert(!folder_exists(path));
    options.position_offset = 0; /* cannot be said in config.json */
    CHECK_FAILS(hf_folder_write(folder, &options, &state.table, state.weights, NULL, &error),
                STATUS_INPUT);
    model_state_deinit(&state);
}
END_TEST

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
            sources[count++] = (struct safetensor_source){renamed ? to : row->name, row->rows,
                                                          row->cols, state->weights + row->offset};
        }
    }
    if (more != NULL) {
        sources[count++] = *more;
    }
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, "model.safetensors", &error), error);
    CHECK_OK(safetensors_write(path, sources, count, &error), error);
}

START_TEST(test_hf_folder_weights_accepts_older_names_and_tied_copies)
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
    const struct safetensor_source copy = {"lm_head.decoder.weight", word->rows, word->cols,
                                           state.weights + word->offset};
    static const float other[36] = {1};
    const struct safetensor_source untied = {"lm_head.decoder.weight", word->rows, word->cols,
                                             other};
    const struct safetensor_source pooler = {"roberta.pooler.dense.weight", 2, 3, other};
    const struct safetensor_source ids = {"roberta.embeddings.position_ids", 1, 7, other};
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
        const enum status status = hf_folder_weights(folder, &state.table, weights, &error);
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

START_TEST(test_hf_folder_weights_of_another_shape_are_refused)
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
    CHECK_FAILS(hf_folder_weights(folder, &wider.table, wider.weights, &error), STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "word_embeddings"));
    model_state_deinit(&wider);
    model_state_deinit(&state);
}
END_TEST

#define SIZES                                                                                      \
    "\"vocab_size\": 9, \"hidden_size\": 4, \"num_hidden_layers\": 1, \"num_attention_heads\": 2," \
    "\"intermediate_size\": 6"
#define ROBERTA "{\"model_type\": \"roberta\", "
#define ROWS    ", \"max_position_embeddings\": 7"

START_TEST(test_hf_folder_options_come_with_the_defaults_of_transformers)
{
    struct model_options options;
    struct error error;
    char folder[PATH_BYTES];
    scratch_path(folder, "defaults");
    text_put(folder, "config.json", ROBERTA SIZES ROWS ", \"hidden_act\": null}");
    CHECK_OK(hf_folder_options(folder, &options, &error), error);
    ck_assert_int_eq(options.positions, 5);
    ck_assert_int_eq(options.type_vocabulary, 2);
    ck_assert_int_eq(options.pad_id, 1);
    ck_assert_int_eq(options.activation, MODEL_ACTIVATION_GELU);
    ck_assert_double_eq(options.norm_epsilon, 1e-12);
    ck_assert_double_eq(options.dropout, 0.1);
}
END_TEST

START_TEST(test_hf_folder_options_refuses_what_we_would_compute_otherwise)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"model_type\": \"bert\", " SIZES ROWS "}",
        ROBERTA SIZES "}",
        ROBERTA "\"vocab_size\": 9" ROWS "}",
        ROBERTA SIZES ", \"max_position_embeddings\": 2}",
        ROBERTA SIZES ", \"max_position_embeddings\": \"7\"}",
        ROBERTA SIZES ", \"max_position_embeddings\": 1e9}",
        ROBERTA SIZES ", \"max_position_embeddings\": 99999999999}",
        ROBERTA SIZES ROWS ", \"vocab_size\": 9}",
        ROBERTA SIZES ROWS ", \"hidden_act\": \"silu\"}",
        ROBERTA SIZES ROWS ", \"hidden_act\": 1}",
        ROBERTA SIZES ROWS ", \"is_decoder\": true}",
        ROBERTA SIZES ROWS ", \"is_decoder\": 0}",
        ROBERTA SIZES ROWS ", \"add_cross_attention\": true}",
        ROBERTA SIZES ROWS ", \"tie_word_embeddings\": false}",
        ROBERTA SIZES ROWS ", \"position_embedding_type\": \"relative_key\"}",
        ROBERTA SIZES ROWS ", \"pad_token_id\": -1}",
        ROBERTA SIZES ROWS ", \"type_vocab_size\": 0}",
        ROBERTA SIZES ROWS ", \"hidden_dropout_prob\": 1.5}",
        ROBERTA SIZES ROWS ", \"hidden_dropout_prob\": -0.5}",
        ROBERTA SIZES ROWS ", \"layer_norm_eps\": \"small\"}",
    };
    struct error error;
    char folder[PATH_BYTES];
    scratch_path(folder, "options");
    for (int64_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct model_options options;
        text_put(folder, "config.json", texts[i]);
        ck_assert_msg(hf_folder_options(folder, &options, &error) == STATUS_FORMAT, "case %lld: %s",
                      (long long)i, texts[i]);
        ck_assert_ptr_nonnull(strstr(error.message, "config.json"));
    }
}
END_TEST

int main(void)
{
    return suite_run("hf_folder",
                     (const TTest *[]){
                         test_hf_folder_of_transformers_is_read_and_written_with_the_same_bytes,
                         test_hf_folder_round_trips_every_norm_and_activation,
                         test_hf_folder_takes_a_tokenizer_along_and_describes_it,
                         test_hf_folder_write_touches_nothing_that_is_there,
                         test_hf_folder_weights_accepts_older_names_and_tied_copies,
                         test_hf_folder_weights_of_another_shape_are_refused,
                         test_hf_folder_options_come_with_the_defaults_of_transformers,
                         test_hf_folder_options_refuses_what_we_would_compute_otherwise,
                         NULL,
                     });
}
