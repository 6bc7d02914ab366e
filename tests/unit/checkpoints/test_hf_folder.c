/* checkpoints/hf_folder: what transformers wrote is read, what we write has its bytes. That
 * transformers loads our folders is shown with transformers itself: docs/formats/huggingface.md
 * says how. */
#include "checkpoints/hf_folder.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "checkpoints/safetensors.h"
#include "tests/unit/checkpoints/hf_fixture.h"

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

/* Of the shared golden data or our own; false: neither has it. */
static bool golden_folder(char folder[PATH_BYTES], const char *name)
{
    static const char *const places[] = {SHARDLM_GOLDEN_SHARED, SHARDLM_GOLDEN_SMALL};
    struct error error;
    for (int64_t i = 0; i < ARRAY_LENGTH(places); i++) {
        char cases[PATH_BYTES];
        CHECK_OK(path_join(cases, places[i], "cases", &error), error);
        CHECK_OK(path_join(folder, cases, name, &error), error);
        if (folder_exists(folder)) {
            return true;
        }
    }
    return false;
}

/* Reads what transformers wrote, writes it again; the caller releases the state. */
static void golden_copy(struct model_state *state, const char *folder, char written[PATH_BYTES])
{
    struct error error;
    struct model_options options;
    CHECK_OK(hf_folder_options(folder, &options, &error), error);
    model_state_init(state, &options);
    CHECK_OK(hf_folder_weights(folder, &state->table, state->weights, NULL, &error), error);
    scratch_path(written, "golden-again");
    CHECK_OK(hf_folder_write(written, &options, &state->table, state->weights, NULL, &error),
             error);
}

START_TEST(test_hf_folder_of_transformers_is_read_and_written_with_the_same_bytes)
{
    static const char *const names[] = {"roberta_mlm",  "roberta_mlm_padded", "bert_pretraining",
                                        "bert_visible", "albert_pretraining", "albert_groups",
                                        "gpt2_lm",      "gpt2_generate",      "xlnet_perm",
                                        "xlnet_plain",  "xlnet_uni"};
    int64_t count = 0;
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char folder[PATH_BYTES];
        char written[PATH_BYTES];
        struct model_state state;
        if (golden_folder(folder, names[i])) {
            golden_copy(&state, folder, written);
            check_equal_files(folder, written, "model.safetensors");
            model_state_deinit(&state);
            count++;
        }
    }
    ck_assert_msg(count > 0, "no golden data");
}
END_TEST

START_TEST(test_hf_folder_keeps_the_span_boundary_head_in_a_file_of_its_own)
{
    char folder[PATH_BYTES];
    char written[PATH_BYTES];
    char path[PATH_BYTES];
    struct model_state state;
    struct error error;
    if (!golden_folder(folder, "spanbert_sbo")) {
        return; /* the whole reference set is not here */
    }
    golden_copy(&state, folder, written); /* the golden file has both heads in one */
    struct model_options again;
    CHECK_OK(hf_folder_options(written, &again, &error), error);
    ck_assert_int_eq(again.family, MODEL_FAMILY_SPANBERT);
    ck_assert_int_eq(again.span_positions, 10);
    ck_assert_int_eq(again.span_position_width, 16);
    const size_t count = (size_t)state.table.element_count;
    float *const weights = memory_take(count, sizeof *weights, "test");
    CHECK_OK(hf_folder_weights(written, &state.table, weights, NULL, &error), error);
    ck_assert_int_eq(memcmp(weights, state.weights, count * sizeof *weights), 0);
    struct safetensors file;
    CHECK_OK(path_join(path, written, "model.safetensors", &error), error);
    CHECK_OK(safetensors_open(&file, path, &error), error);
    for (int64_t i = 0; i < file.count; i++) { /* what transformers would call unexpected */
        ck_assert_int_ne(strncmp(file.tensors[i].name, "sbo.", 4), 0);
    }
    safetensors_close(&file);
    memory_release(weights);
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
    ck_assert_int_eq(model_embedding_width(&read), model_embedding_width(options));
    ck_assert_int_eq(read.memory_tokens, options->memory_tokens);
    ck_assert_int_eq(read.memory_reuse, options->memory_reuse);
    ck_assert_int_eq(read.distance_max, options->distance_max);
    ck_assert_int_eq(read.one_way, options->one_way);
    ck_assert_int_eq(read.without_pairs, options->without_pairs);
    ck_assert_double_eq(read.dropout, options->dropout);
    ck_assert_double_eq(read.attention_dropout, options->attention_dropout);
    ck_assert_double_eq(read.norm_epsilon, options->norm_epsilon);
    ck_assert_double_eq(read.init_range, options->init_range);
    const size_t size_bytes = (size_t)state.table.element_count * sizeof(float);
    float *const weights = memory_take((size_t)state.table.element_count, sizeof *weights, "test");
    memset(weights, 1, size_bytes); /* padding must be cleared */
    CHECK_OK(hf_folder_weights(folder, &state.table, weights, NULL, &error), error);
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

START_TEST(test_hf_folder_round_trips_every_family)
{
    for (int pairs = 0; pairs < 2; pairs++) {
        struct model_options options = tiny_options();
        options.position_offset = 0;
        options.pad_id = 0;
        options.without_pairs = pairs == 0;
        options.family = MODEL_FAMILY_BERT;
        check_round_trip(&options, "bert");
        options.pad_id = -1; /* said by null */
        check_round_trip(&options, "bert-without-padding");
        options.family = MODEL_FAMILY_ALBERT;
        options.layers = 4;
        options.embedding_width = 2;
        options.inner_layers = 2;
        options.share = MODEL_SHARE_ALL;
        check_round_trip(&options, "albert");
        options.groups = 2;
        check_round_trip(&options, "albert-groups");
        options.groups = 1;
        options.share = MODEL_SHARE_NONE;
        check_round_trip(&options, "albert-without-sharing");
    }
    struct model_options options = tiny_options();
    options.family = MODEL_FAMILY_SPANBERT;
    options.without_pairs = true;
    options.position_offset = 0;
    options.span_positions = 3;
    options.span_position_width = 2;
    check_round_trip(&options, "spanbert");
    options.family = MODEL_FAMILY_GPT;
    options.norm = MODEL_NORM_PRE;
    options.pad_id = -1;
    check_round_trip(&options, "gpt");
    options.family = MODEL_FAMILY_XLNET;
    options.norm = MODEL_NORM_POST;
    /* one rate for both, no table of positions or segments */
    options.attention_dropout = options.dropout;
    options.positions = 512;
    options.type_vocabulary = 5;
    options.memory_tokens = 3;
    options.one_way = true;
    check_round_trip(&options, "xlnet");
}
END_TEST

/* Every tensor that a layer uses, in one table and in the other. */
static void check_equal_layers(const struct model_state *one, const struct model_state *two,
                               int64_t layer)
{
    int64_t compared = 0;
    for (int64_t i = 0; i < two->table.row_count; i++) {
        const struct parameter *const row = &two->table.rows[i];
        if (row->group != parameter_layer_group(&two->table, layer, PARAMETER_HALF_ATTENTION)) {
            continue;
        }
        for (int half = 0; half < PARAMETER_HALVES; half++) {
            const struct parameter *const other = parameter_maybe(
                &one->table, parameter_layer_group(&one->table, layer, (enum parameter_half)half),
                row->role);
            if (other != NULL) {
                ck_assert_int_eq(memcmp(one->weights + other->offset, two->weights + row->offset,
                                        (size_t)row->count * sizeof(float)),
                                 0);
                compared++;
            }
        }
    }
    ck_assert_int_eq(compared, 16);
}

START_TEST(test_hf_folder_refuses_to_write_what_hugging_face_has_not)
{
    struct model_options options = tiny_options();
    struct error error;
    char folder[PATH_BYTES];
    struct model_state state;
    options.family = MODEL_FAMILY_BERT;
    options.position_offset = 2;
    model_state_init(&state, &options);
    scratch_path(folder, "bert-offset");
    CHECK_FAILS(hf_folder_write(folder, &options, &state.table, state.weights, NULL, &error),
                STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "model.position_offset"));
    ck_assert(!folder_exists(folder));
    model_state_deinit(&state);
}
END_TEST

/* transformers has no words for it: each layer gets the half that it shares with others. */
START_TEST(test_hf_folder_repeats_a_half_that_layers_share)
{
    static const enum model_share shares[] = {MODEL_SHARE_ATTENTION, MODEL_SHARE_FEED_FORWARD};
    for (int64_t i = 0; i < ARRAY_LENGTH(shares); i++) {
        struct model_options options = tiny_options();
        struct error error;
        char folder[PATH_BYTES];
        struct model_state state;
        options.family = MODEL_FAMILY_ALBERT;
        options.position_offset = 0;
        options.layers = 4;
        options.groups = 2;
        options.share = shares[i];
        model_state_init(&state, &options);
        scratch_path(folder, i == 0 ? "attention-shared" : "ffn-shared");
        CHECK_OK(hf_folder_write(folder, &options, &state.table, state.weights, NULL, &error),
                 error);
        struct model_options read;
        struct model_state own;
        CHECK_OK(hf_folder_options(folder, &read, &error), error);
        ck_assert(read.layers == 4 && read.groups == 4 && read.share == MODEL_SHARE_ALL);
        model_state_init(&own, &read);
        CHECK_OK(hf_folder_weights(folder, &own.table, own.weights, NULL, &error), error);
        for (int64_t layer = 0; layer < options.layers; layer++) {
            check_equal_layers(&state, &own, layer);
        }
        model_state_deinit(&own);
        model_state_deinit(&state);
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

#define SIZES                                                                                      \
    "\"vocab_size\": 9, \"hidden_size\": 4, \"num_hidden_layers\": 1, \"num_attention_heads\": 2," \
    "\"intermediate_size\": 6"
#define ROBERTA "{\"model_type\": \"roberta\", "
#define GPT     "{\"model_type\": \"gpt2\""
#define SMALL   ", \"vocab_size\": 9, \"n_embd\": 4, \"n_layer\": 1, \"n_positions\": 5"
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
    text_put(folder, "config.json", GPT SMALL ", \"n_head\": 2, \"pad_token_id\": 3}");
    CHECK_OK(hf_folder_options(folder, &options, &error), error);
    ck_assert_int_eq(options.feed_forward, 16);
    ck_assert_int_eq(options.pad_id, -1);
    ck_assert_int_eq(options.activation, MODEL_ACTIVATION_GELU_TANH);
    ck_assert_double_eq(options.norm_epsilon, 1e-5);
}
END_TEST

START_TEST(test_hf_folder_options_refuses_what_we_would_compute_otherwise)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"model_type\": \"t5\", " SIZES ROWS "}",
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
        GPT "}",
        GPT SMALL ", \"n_head\": 2, \"n_inner\": 0}",
        GPT SMALL ", \"n_head\": 2, \"embd_pdrop\": 0.2}",
        GPT SMALL ", \"n_head\": 2, \"scale_attn_weights\": false}",
        GPT SMALL ", \"n_head\": 2, \"scale_attn_by_inverse_layer_idx\": true}",
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
                         test_hf_folder_keeps_the_span_boundary_head_in_a_file_of_its_own,
                         test_hf_folder_round_trips_every_norm_and_activation,
                         test_hf_folder_round_trips_every_family,
                         test_hf_folder_refuses_to_write_what_hugging_face_has_not,
                         test_hf_folder_repeats_a_half_that_layers_share,
                         test_hf_folder_takes_a_tokenizer_along_and_describes_it,
                         test_hf_folder_write_touches_nothing_that_is_there,
                         test_hf_folder_options_come_with_the_defaults_of_transformers,
                         test_hf_folder_options_refuses_what_we_would_compute_otherwise,
                         NULL,
                     });
}
