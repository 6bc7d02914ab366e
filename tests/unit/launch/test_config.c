/* launch/config: what is accepted, what is refused and in which words, and that nothing is lost on
 * the way back. */
#include "launch/config.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "launch/config_table.h"
#include "tests/support/suite.h"

/* The smallest configuration; a line may be put behind it. */
#define SMALL                                                                                      \
    "data: {corpus: c}\n"                                                                          \
    "model: {layers: 2, hidden: 64, heads: 4, feed_forward: 256}\n"

/* Its beginning; keys of the model and a brace follow. */
#define MODEL                                                                                      \
    "data: {corpus: c}\n"                                                                          \
    "model: {layers: 2, hidden: 64, heads: 4, feed_forward: 256, "

/* The example of the project's first issue. */
static const char example[] =
    "seed: 1\n"
    "model:      {family: roberta, layers: 4, hidden: 256, heads: 4, feed_forward: 1024, "
    "positions: 128, "
    "dropout: 0.1}\n"
    "data:       {corpus: corpus-dir, objective: dynamic_mask, mask_fraction: 0.15, "
    "sequence_tokens: 128, "
    "held_out: 0.02}\n"
    "step:       {tokens: 16384, slot_tokens: 1024}\n"
    "optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 100, total_steps: 2000, schedule: "
    "linear, "
    "betas: [0.9, 0.98], epsilon: 1e-6, weight_decay: 0.01, clip_norm: 1.0}\n"
    "numerics:   {compute: fp32}\n"
    "shard:      {stage: 1}\n"
    "checkpoint: {every_steps: 500, keep: 3}\n";

static enum status parse(const char *text, const char *const *sets, int64_t set_count,
                         struct config *config, struct error *error)
{
    return config_parse_text("/runs/x.yaml", text, strlen(text), sets, set_count, config, error);
}

START_TEST(test_config_reads_the_example)
{
    struct config config;
    struct error error = {0};
    CHECK_OK(parse(example, NULL, 0, &config, &error), error);
    ck_assert_uint_eq(config.seed, 1);
    ck_assert_int_eq(config.model.family, MODEL_FAMILY_ROBERTA);
    ck_assert_int_eq(config.model.layers, 4);
    ck_assert_int_eq(config.model.hidden, 256);
    ck_assert_int_eq(config.model.feed_forward, 1024);
    ck_assert_int_eq(config.model.positions, 128);
    ck_assert_double_eq(config.model.dropout, 0.1);
    ck_assert_str_eq(config.data.corpus, "/runs/corpus-dir");
    ck_assert_double_eq(config.data.held_out, 0.02);
    ck_assert_int_eq(config.step.tokens, 16384);
    ck_assert_double_eq(config.optimizer.peak_rate, 1e-3);
    ck_assert_double_eq(config.optimizer.betas[0], 0.9);
    ck_assert_double_eq(config.optimizer.betas[1], 0.98);
    ck_assert_int_eq(config.shard.stage, 1);
    ck_assert_int_eq(config.checkpoint.keep, 3);
}
END_TEST

START_TEST(test_config_fills_defaults)
{
    struct config config;
    struct error error = {0};
    CHECK_OK(parse(SMALL "optimizer: {schedule: inverse_square_root}\n", NULL, 0, &config, &error),
             error);
    ck_assert_int_eq(config.optimizer.schedule, SCHEDULE_NAME_INVERSE_SQUARE_ROOT);
    ck_assert_int_eq(config.model.vocabulary, 0);
    ck_assert_int_eq(config.model.position_offset, 2);
    ck_assert_int_eq(config.model.type_vocabulary, 1);
    ck_assert_int_eq(config.model.pad_id, 1);
    ck_assert_double_eq(config.model.norm_epsilon, 1e-5);
    ck_assert_double_eq(config.model.init_range, 0.02);
    ck_assert_int_eq(config.data.packing, DATA_PACKING_FULL_SENTENCES);
    ck_assert_double_eq(config.data.mask_share, 0.8);
    ck_assert_double_eq(config.data.random_share, 0.1);
    ck_assert_int_eq(config.lease.mode, LEASE_MODE_AUTO);
    ck_assert_double_eq(config.lease.heartbeat_seconds, 1);
    ck_assert_double_eq(config.lease.silence_seconds, 30);
    ck_assert_int_eq(config.evaluation.every_steps, 0);
}
END_TEST

START_TEST(test_config_defaults_follow_other_keys)
{
    struct config config;
    struct error error = {0};
    const char *const sets[] = {"model.dropout=0.25", "data.sequence_tokens=64"};
    CHECK_OK(parse(SMALL, sets, 2, &config, &error), error);
    ck_assert_double_eq(config.model.attention_dropout, 0.25);
    ck_assert_int_eq(config.model.positions, 64);
}
END_TEST

START_TEST(test_config_defaults_follow_the_family)
{
    struct config config;
    struct error error = {0};
    const char *const bert[] = {"model.family=bert", "model.norm_epsilon=1e-9"};
    CHECK_OK(parse(SMALL, bert, 2, &config, &error), error);
    ck_assert_int_eq(config.model.family, MODEL_FAMILY_BERT);
    ck_assert_double_eq(config.model.norm_epsilon, 1e-9); /* what is given stays */
    ck_assert_int_eq(config.model.type_vocabulary, 2);
    ck_assert_int_eq(config.data.pairs, DATA_PAIRS_NEXT_SENTENCE);
    ck_assert_int_eq(config.data.objective, DATA_OBJECTIVE_STATIC_MASK);
    ck_assert(!config.optimizer.bias_correction && !config.model.without_pairs);
    const char *const alone[] = {"model.family=bert", "data.pairs=none"};
    CHECK_OK(parse(SMALL, alone, 2, &config, &error), error);
    ck_assert(config.model.without_pairs);
    const char *const albert[] = {"model.family=albert", "model.embedding_width=32"};
    CHECK_OK(parse(SMALL, albert, 2, &config, &error), error);
    ck_assert_int_eq(config.model.share, MODEL_SHARE_ALL);
    ck_assert_double_eq(config.model.attention_dropout, 0); /* follows a dropout of the family */
    ck_assert_int_eq(config.data.pairs, DATA_PAIRS_SENTENCE_ORDER);
    const char *const gpt[] = {"model.family=gpt"};
    CHECK_OK(parse(SMALL, gpt, 1, &config, &error), error);
    ck_assert_int_eq(config.model.norm, MODEL_NORM_PRE);
    ck_assert_int_eq(config.data.objective, DATA_OBJECTIVE_CAUSAL);
    ck_assert_double_eq(config.optimizer.betas[1], 0.95);
}
END_TEST

START_TEST(test_config_accepts_every_spelling_of_yaml)
{
    struct config block;
    struct config flow;
    struct error error = {0};
    CHECK_OK(
        parse("# comment\ndata:\n  corpus: 'c'\nmodel:\n  layers: +2\n  hidden: 64\n  heads: 4\n"
              "  feed_forward: 256\noptimizer:\n  betas:\n  - .9\n  - 98e-2\n",
              NULL, 0, &block, &error),
        error);
    CHECK_OK(parse("---\n" SMALL "optimizer: {betas: [0.9, 0.98]}\n...\n", NULL, 0, &flow, &error),
             error);
    ck_assert_mem_eq(&block, &flow, sizeof block);
}
END_TEST

static const struct {
    const char *text;
    const char *message; /* a part of it */
} bad[] = {
    {"", "could not read configuration \"/runs/x.yaml\": it is empty"},
    {"# only a comment\n", "it is empty"},
    {"- 1\n- 2\n", "line 1, column 1: expected a mapping of sections, got a list"},
    {"hello\n", "line 1, column 1: expected a mapping of sections, got a single value"},
    {"seed: [1\n", "line 2, column 1: did not find expected ',' or ']'"},
    {"seed: 1\n\tx: 2\n", "line 2, column 1: found a tab character"},
    {"seed: \"a\n", "found unexpected end of stream"},
    {"seed: \xff\n", "invalid leading UTF-8 octet"},
    {SMALL "---\nseed: 2\n", "line 3, column 1: a second document begins, expected one"},
    {"model: {hiden: 4}\n",
     "could not read configuration \"/runs/x.yaml\", line 1, column 9: unknown key "
     "\"model.hiden\", nearest known key is \"model.hidden\""},
    {SMALL "sead: 1\n", "line 3, column 1: unknown key \"sead\", nearest known key is \"seed\""},
    {SMALL "layers: 1\n", "unknown key \"layers\", nearest known key is \"model.layers\""},
    {SMALL "optimiser: {name: adamw}\n",
     "line 3, column 1: unknown section \"optimiser\", nearest known section is \"optimizer\""},
    {SMALL "optimizer: {peek_rate: 1}\n", "nearest known key is \"optimizer.peak_rate\""},
    {SMALL "step: {slots: 2}\n", "unknown key \"step.slots\", nearest known key is"},
    {SMALL "seed: 1\nseed: 2\n", "line 4, column 1: key \"seed\" was already given in line 3"},
    {SMALL "shard: {stage: 1, stage: 1}\n", "key \"shard.stage\" was already given in line 3"},
    {SMALL "shard: 1\n", "section \"shard\" is a single value, expected a mapping of its keys"},
    {SMALL "shard: [1]\n", "section \"shard\" is a list, expected a mapping of its keys"},
    {SMALL "shard:\n", "section \"shard\" is a single value"},
    {SMALL "seed: {a: 1}\n", "key \"seed\" is a mapping, expected an integer of at least 0"},
    {SMALL "seed: [1]\n", "key \"seed\" is a list, expected an integer of at least 0"},
    {SMALL "seed:\n", "key \"seed\" is empty, expected an integer of at least 0"},
    {SMALL "seed: ~\n", "key \"seed\" is empty"},
    {SMALL "seed: null\n", "key \"seed\" is empty"},
    {SMALL "seed: one\n",
     "line 3, column 7: key \"seed\" is \"one\", expected an integer of at least 0"},
    {SMALL "seed: -1\n", "key \"seed\" is \"-1\", expected an integer of at least 0"},
    {SMALL "seed: 1.0\n", "key \"seed\" is \"1.0\", expected an integer"},
    {SMALL "seed: 0x10\n", "key \"seed\" is \"0x10\", expected an integer"},
    {SMALL "seed: 16_384\n", "key \"seed\" is \"16_384\", expected an integer"},
    {SMALL "seed: 99999999999999999999\n", "key \"seed\" is \"99999999999999999999\", expected"},
    {SMALL "seed: \"1\"\n", "key \"seed\" is the quoted text \"1\", expected an integer"},
    {SMALL "seed: !!int 1\n", "has the tag \"tag:yaml.org,2002:int\", tags are not supported"},
    {SMALL "seed: *a\n", "found undefined alias"},
    {SMALL "step: {<<: {tokens: 4}}\n", "merge keys (\"<<\") are not supported"},
    {SMALL "step: {[1]: 4}\n", "holds a list where one value was expected"},
    {SMALL "evaluation: {tokens: 0}\n",
     "key \"evaluation.tokens\" is \"0\", expected an integer from 1 to 1000000000000"},
    {SMALL "shard: {stage: 4}\n", "key \"shard.stage\" is \"4\", expected an integer from 0 to 3"},
    {SMALL "shard: {stage: 2}\nlease: {mode: dynamic}\n",
     "lease.mode dynamic needs shard.stage 0 or 1"},
    {SMALL "optimizer: {peak_rate: 0}\n",
     "key \"optimizer.peak_rate\" is \"0\", expected a number above 0 and at most 10"},
    {SMALL "optimizer: {peak_rate: fast}\n",
     "key \"optimizer.peak_rate\" is \"fast\", expected a number"},
    {SMALL "optimizer: {peak_rate: .inf}\n",
     "key \"optimizer.peak_rate\" is \".inf\", expected a number"},
    {SMALL "optimizer: {peak_rate: nan}\n",
     "key \"optimizer.peak_rate\" is \"nan\", expected a number"},
    {SMALL "optimizer: {epsilon: 1e999}\n",
     "key \"optimizer.epsilon\" is \"1e999\", expected a number"},
    {SMALL "optimizer: {betas: 0.9}\n",
     "key \"optimizer.betas\" is a single value, expected a list of two "
     "numbers, each of at least 0 and below 1"},
    {SMALL "optimizer: {betas: [0.9]}\n",
     "key \"optimizer.betas\" is a single value, expected a list"},
    {SMALL "optimizer: {betas: []}\n",
     "key \"optimizer.betas\" is a list of 0, expected a list of two"},
    {SMALL "optimizer: {betas: [0.9, 0.9, 0.9]}\n",
     "is a list of 3, expected a list of two numbers"},
    {SMALL "optimizer: {betas: [0.9, 1.0]}\n", "key \"optimizer.betas\" is \"1.0\", expected"},
    {SMALL "optimizer: {betas: [[0.9], 0.5]}\n", "holds a list where one value was expected"},
    {SMALL "optimizer: {schedule: linaer}\n",
     "key \"optimizer.schedule\" is \"linaer\", expected one of \"linear\", \"cosine\", "
     "\"inverse_square_root\", \"constant\""},
    {SMALL "numerics: {compute: fp16}\n",
     "key \"numerics.compute\" is \"fp16\", expected one of \"fp32\", \"bf16\""},
    {"data: {corpus: c, skip_bad_shards: yes}\n",
     "key \"data.skip_bad_shards\" is \"yes\", expected true or false"},
    {"data: {corpus: \"\"}\n", "key \"data.corpus\" is empty, expected a path or \"synthetic\""},
    {"data: {corpus: \"a\\nb\"}\n", "key \"data.corpus\" is a text with a control character"},
    {"data: {corpus: \"a\\0b\"}\n", "key \"data.corpus\" holds a text with a zero byte"},
    {"data: {held_out: 1.0, corpus: c}\n",
     "key \"data.held_out\" is \"1.0\", expected a number of at least 0 "
     "and below 1"},
    {"seed: 1\n", "key \"model.layers\" is missing, expected an integer from 1 to 512"},
    {"model: {layers: 1, hidden: 4, heads: 2, feed_forward: 8}\n",
     "could not read configuration \"/runs/x.yaml\": key \"data.corpus\" is missing, expected a "
     "path"},
    {"data: {corpus: c}\nmodel: {layers: 2, hidden: 250, heads: 4, feed_forward: 256}\n",
     "line 2, column 28: model.hidden 250 is not a multiple of model.heads 4"},
    {"data: {corpus: c, sequence_tokens: 256}\nmodel: {layers: 2, hidden: 64, heads: 4, "
     "feed_forward: 256, "
     "positions: 128}\n",
     "line 1, column 36: data.sequence_tokens 256 is more than model.positions 128"},
    {SMALL "step: {slot_tokens: 1000, tokens: 1000}\n",
     "line 3, column 21: step.slot_tokens 1000 is not a multiple of data.sequence_tokens 128"},
    {SMALL "step: {tokens: 1500}\n",
     "line 3, column 16: step.tokens 1500 is not a multiple of step.slot_tokens 1024"},
    {SMALL "step: {slot_tokens: 32768}\n",
     "line 3, column 21: step.tokens 16384 is not a multiple of step.slot_tokens 32768"},
    {SMALL "optimizer: {warmup_steps: 3000}\n",
     "line 3, column 27: optimizer.warmup_steps 3000 is more than optimizer.total_steps 2000"},
    {"data: {corpus: c, mask_share: 0.95}\nmodel: {layers: 2, hidden: 64, heads: 4, feed_forward: "
     "256}\n",
     "line 1, column 31: data.mask_share and data.random_share add up to more than 1"},
    {"data: {corpus: synthetic}\nmodel: {layers: 2, hidden: 64, heads: 4, feed_forward: 256}\n",
     "data.corpus \"synthetic\" needs model.vocabulary above 0"},
    {"data: {corpus: c}\nmodel: {layers: 2, hidden: 64, heads: 4, feed_forward: 256, vocabulary: "
     "10, pad_id: "
     "10}\n",
     "model.pad_id is outside model.vocabulary"},
    {SMALL "lease: {heartbeat_seconds: 60}\n",
     "lease.silence_seconds is not more than lease.heartbeat_seconds"},
    {"data: {corpus: c, held_out: 0}\nmodel: {layers: 2, hidden: 64, heads: 4, feed_forward: 256}\n"
     "evaluation: {every_steps: 5}\n",
     "evaluation.every_steps above 0 needs data.held_out above 0"},
    {MODEL "family: bert, norm: pre}\n",
     "line 2, column 81: this model.family has another place for LayerNorm than model.norm says"},
    {MODEL "family: gpt, norm: post}\n", "this model.family has another place for LayerNorm"},
    {MODEL "share: all}\n",
     "line 2, column 68: model.embedding_width, share, groups and inner_layers go with"},
    {MODEL "family: albert}\n", "model.embedding_width 128 is more than model.hidden 64"},
    {MODEL "family: albert, embedding_width: 8, groups: 3}\n",
     "model.layers 2 is not a multiple of model.groups 3"},
    {"data: {corpus: c, objective: span_mask}\n"
     "model: {layers: 2, hidden: 64, heads: 4, feed_forward: 256, family: gpt}\n",
     "line 1, column 30: model.family gpt needs data.objective causal"},
    {"data: {corpus: c, objective: causal}\n"
     "model: {layers: 2, hidden: 64, heads: 4, feed_forward: 256}\n",
     "line 1, column 30: data.objective causal needs model.family gpt"},
    {"data: {corpus: c, pairs: next_sentence}\n"
     "model: {layers: 2, hidden: 64, heads: 4, feed_forward: 256}\n",
     "line 1, column 26: this model.family has no head for data.pairs; bert and albert have"},
    {MODEL "family: bert, type_vocabulary: 1}\n",
     "data.pairs needs model.type_vocabulary of at least 2"},
};

START_TEST(test_config_refuses_what_is_wrong_and_says_where)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct config config;
        struct error error = {0};
        const enum status status = parse(bad[i].text, NULL, 0, &config, &error);
        ck_assert_msg(status_exit_code(status) == 2, "accepted: %s", bad[i].text);
        ck_assert_msg(error.status == status, "status differs: %s", error.message);
        ck_assert_msg(strstr(error.message, bad[i].message) != NULL, "got: %s\nwanted: %s",
                      error.message, bad[i].message);
        ck_assert_msg(strncmp(error.message, "could not read configuration \"/runs/x.yaml\"", 42) ==
                          0,
                      "no place: %s", error.message);
    }
}
END_TEST

static const struct {
    const char *set;
    const char *message; /* the whole */
} bad_sets[] = {
    {"seed", "option --set seed: expected key=value, as in optimizer.peak_rate=1e-3"},
    {"=3", "option --set =3: expected key=value, as in optimizer.peak_rate=1e-3"},
    {"model.hiden=3",
     "option --set model.hiden=3: unknown key \"model.hiden\", nearest known key is "
     "\"model.hidden\""},
    {"seed=", "option --set seed=: key \"seed\" is empty, expected an integer of at least 0"},
    {"seed=x", "option --set seed=x: key \"seed\" is \"x\", expected an integer of at least 0"},
    {"model.heads=3",
     "option --set model.heads=3: model.hidden 64 is not a multiple of model.heads 3"},
    {"optimizer.betas=0.9",
     "option --set optimizer.betas=0.9: key \"optimizer.betas\" is a single value, "
     "expected a list of two numbers, each of at least 0 and below 1"},
    {"data.corpus=\xc3(",
     "option --set data.corpus=\xc3(: key \"data.corpus\" is no valid UTF-8, expected a "
     "path or \"synthetic\""},
};

START_TEST(test_config_refuses_bad_settings_and_names_the_option)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(bad_sets); i++) {
        struct config config;
        struct error error = {0};
        const enum status status = parse(SMALL, &bad_sets[i].set, 1, &config, &error);
        ck_assert_int_eq(status_exit_code(status), 2);
        ck_assert_str_eq(error.message, bad_sets[i].message);
    }
}
END_TEST

START_TEST(test_config_settings_override_the_file_and_the_last_one_wins)
{
    struct config config;
    struct error error = {0};
    const char *const sets[] = {"seed=3", "optimizer.betas=[0.5, 0.25]", "seed=4",
                                "data.corpus=/a=b", "optimizer.schedule=constant"};
    CHECK_OK(parse(example, sets, ARRAY_LENGTH(sets), &config, &error), error);
    ck_assert_uint_eq(config.seed, 4);
    ck_assert_double_eq(config.optimizer.betas[0], 0.5);
    ck_assert_double_eq(config.optimizer.betas[1], 0.25);
    ck_assert_str_eq(config.data.corpus, "/a=b");
    ck_assert_int_eq(config.optimizer.schedule, SCHEDULE_NAME_CONSTANT);
}
END_TEST

START_TEST(test_config_settings_have_paths_relative_to_the_current_folder)
{
    struct config config;
    struct error error = {0};
    char here[PATH_BYTES];
    char expected[PATH_BYTES];
    CHECK_OK(path_absolute(here, ".", &error), error);
    CHECK_OK(path_join(expected, here, "words", &error), error);
    const char *const sets[] = {"data.corpus=./words"};
    CHECK_OK(parse(SMALL, sets, 1, &config, &error), error);
    ck_assert_str_eq(config.data.corpus, expected);
}
END_TEST

static void check_round_trip(const struct config *config)
{
    struct config back;
    struct error error = {0};
    struct text text = {0};
    config_text(config, &text);
    CHECK_OK(
        config_parse_text("/elsewhere/y.yaml", text.data, text.size_bytes, NULL, 0, &back, &error),
        error);
    ck_assert_mem_eq(&back, config, sizeof back);
    text_deinit(&text);
}

START_TEST(test_config_text_reads_back_to_the_same_bytes)
{
    struct config config;
    struct error error = {0};
    CHECK_OK(parse(example, NULL, 0, &config, &error), error);
    check_round_trip(&config);
    const char *const sets[] = {"seed=9223372036854775807",
                                "optimizer.peak_rate=0.12345678901234567",
                                "optimizer.epsilon=4.9e-324",
                                "optimizer.weight_decay=-0",
                                "optimizer.betas=0.1,0.30000000000000004",
                                "data.corpus=/a \"b\"\\c: #d/\xc3\xa4",
                                "data.skip_bad_shards=true",
                                "data.objective=whole_word_mask",
                                "model.norm=pre",
                                "numerics.core=avx512"};
    CHECK_OK(parse(example, sets, ARRAY_LENGTH(sets), &config, &error), error);
    check_round_trip(&config);
    ck_assert_str_eq(config.data.corpus, "/a \"b\"\\c: #d/\xc3\xa4");
}
END_TEST

/* A family that has what the setting asks for. */
static const char *family_for(const char *set)
{
    static const char *const rows[][2] = {{"model.share=", "model.family=albert"},
                                          {"data.pairs=", "model.family=bert"},
                                          {"data.objective=causal", "model.family=gpt"},
                                          {"data.objective=permutation", "model.family=xlnet"}};
    for (int64_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strncmp(set, rows[i][0], strlen(rows[i][0])) == 0) {
            return rows[i][1];
        }
    }
    return "model.family=roberta";
}

START_TEST(test_config_text_reads_back_for_every_word_of_every_choice)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *const key = &config_keys[i];
        for (int64_t j = 0; key->words != NULL && key->words[j] != NULL; j++) {
            struct config config;
            struct error error = {0};
            char set[128];
            (void)snprintf(set, sizeof set, "%s=%s", key->name, key->words[j]);
            const char *const sets[] = {family_for(set), "model.vocabulary=1000",
                                        "model.embedding_width=64", set};
            CHECK_OK(parse(SMALL, sets, ARRAY_LENGTH(sets), &config, &error), error);
            check_round_trip(&config);
        }
    }
}
END_TEST

START_TEST(test_config_table_has_unique_names_inside_the_struct)
{
    for (int64_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        ck_assert_int_eq(config_key_find(config_keys[i].name), i);
        ck_assert_str_eq(config_key_nearest(config_keys[i].name), config_keys[i].name);
        ck_assert_uint_lt(config_keys[i].offset, sizeof(struct config));
        for (int64_t j = 0; j < i; j++) {
            ck_assert_uint_ne(config_keys[i].offset, config_keys[j].offset);
        }
    }
}
END_TEST

START_TEST(test_config_read_names_a_file_that_is_not_there)
{
    struct config config;
    struct error error = {0};
    CHECK_FAILS(config_read("/nowhere/at/all.yaml", NULL, 0, &config, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(
        strstr(error.message, "could not read configuration \"/nowhere/at/all.yaml\""));
}
END_TEST

START_TEST(test_config_read_takes_paths_relative_to_the_file)
{
    struct config config;
    struct error error = {0};
    char path[PATH_BYTES];
    char corpus[PATH_BYTES];
    CHECK_OK(path_join(path, suite_scratch(), "run.yaml", &error), error);
    CHECK_OK(path_join(corpus, suite_scratch(), "c", &error), error);
    CHECK_OK(file_write_durable(path, SMALL, strlen(SMALL), &error), error);
    CHECK_OK(config_read(path, NULL, 0, &config, &error), error);
    ck_assert_str_eq(config.data.corpus, corpus);
}
END_TEST

START_TEST(test_config_survives_every_truncation_and_every_broken_byte)
{
    const size_t size_bytes = strlen(example);
    char *const copy = memory_take(size_bytes + 1, 1, "test");
    for (size_t i = 0; i < size_bytes; i++) {
        struct config config;
        struct error error = {0};
        const enum status cut = config_parse_text("x", example, i, NULL, 0, &config, &error);
        ck_assert(cut == STATUS_OK || error.message[0] != '\0');
        memcpy(copy, example, size_bytes + 1);
        copy[i] = (char)(copy[i] ^ 0x15);
        error = (struct error){0};
        const enum status broken =
            config_parse_text("x", copy, size_bytes, NULL, 0, &config, &error);
        ck_assert(broken == STATUS_OK || error.message[0] != '\0');
    }
    memory_release(copy);
}
END_TEST

int main(void)
{
    return suite_run(
        "config",
        (const TTest *[]){test_config_reads_the_example, test_config_fills_defaults,
                          test_config_defaults_follow_other_keys,
                          test_config_defaults_follow_the_family,
                          test_config_accepts_every_spelling_of_yaml,
                          test_config_refuses_what_is_wrong_and_says_where,
                          test_config_refuses_bad_settings_and_names_the_option,
                          test_config_settings_override_the_file_and_the_last_one_wins,
                          test_config_settings_have_paths_relative_to_the_current_folder,
                          test_config_text_reads_back_to_the_same_bytes,
                          test_config_text_reads_back_for_every_word_of_every_choice,
                          test_config_table_has_unique_names_inside_the_struct,
                          test_config_read_names_a_file_that_is_not_there,
                          test_config_read_takes_paths_relative_to_the_file,
                          test_config_survives_every_truncation_and_every_broken_byte, NULL});
}
