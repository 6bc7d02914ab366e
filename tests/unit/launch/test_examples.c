/* examples/: every file is a configuration that holds, and those of base size have as many
 * parameters as the published models. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "launch/config.h"
#include "model/parameters.h"
#include "tests/support/suite.h"

static void example_read(const char *name, int64_t vocabulary, struct config *config)
{
    struct error error = {0};
    char path[PATH_BYTES];
    CHECK_OK(path_join(path, SHARDLM_SOURCE "/examples", name, &error), error);
    CHECK_OK(config_read(path, NULL, 0, config, &error), error);
    config->model.vocabulary = vocabulary;
}

static int64_t parameters_of(const struct config *config)
{
    struct parameter_table table;
    struct error error = {0};
    CHECK_OK(parameter_table_init(&table, &config->model, &error), error);
    const int64_t count = table.parameter_count;
    parameter_table_deinit(&table);
    return count;
}

START_TEST(test_examples_all_hold)
{
    DIR *const folder = opendir(SHARDLM_SOURCE "/examples");
    ck_assert_ptr_nonnull(folder);
    int64_t count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *const end = strrchr(entry->d_name, '.');
        if (end != NULL && strcmp(end, ".yaml") == 0) {
            struct config config;
            example_read(entry->d_name, 4096, &config);
            ck_assert_int_gt(parameters_of(&config), 0);
            count++;
        }
    }
    (void)closedir(folder);
    ck_assert_int_ge(count, 11);
}
END_TEST

/* Of transformers' RobertaForMaskedLM, BertForPreTraining, AlbertForPreTraining, BertForMaskedLM
 * with SpanBERT's boundary head, and GPT2LMHeadModel. That head: 20 places of 200, (768, 1736) and
 * (768, 768) with biases, two LayerNorms, a bias of the vocabulary. */
static const struct {
    const char *family;
    enum model_family name;
    int64_t vocabulary;
    int64_t parameters;
} published[] = {
    {"roberta", MODEL_FAMILY_ROBERTA, 50265, 124697433},
    {"bert", MODEL_FAMILY_BERT, 30522, 110106428},
    {"albert", MODEL_FAMILY_ALBERT, 30000, 11813810},
    {"spanbert", MODEL_FAMILY_SPANBERT, 28996,
     108340804 + 20 * 200 + 768 * (1736 + 768) + 6 * 768 + 28996},
    {"gpt", MODEL_FAMILY_GPT, 50257, 124439808},
};

START_TEST(test_examples_of_base_size_are_the_published_models)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(published); i++) {
        struct config config;
        char name[64];
        (void)snprintf(name, sizeof name, "%s-base.yaml", published[i].family);
        example_read(name, published[i].vocabulary, &config);
        ck_assert_int_eq(config.model.family, published[i].name);
        ck_assert_msg(parameters_of(&config) == published[i].parameters, "%s: %lld, expected %lld",
                      published[i].family, (long long)parameters_of(&config),
                      (long long)published[i].parameters);
        (void)snprintf(name, sizeof name, "%s-tiny.yaml", published[i].family);
        example_read(name, 4096, &config);
        ck_assert_int_eq(config.model.family, published[i].name);
    }
}
END_TEST

int main(void)
{
    return suite_run("examples",
                     (const TTest *[]){test_examples_all_hold,
                                       test_examples_of_base_size_are_the_published_models, NULL});
}
