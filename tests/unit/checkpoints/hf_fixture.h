/* A tiny network with random weights, and files in the scratch folder, for tests of Hugging Face
 * folders. */
#ifndef SHARDLM_TESTS_UNIT_CHECKPOINTS_HF_FIXTURE_H
#define SHARDLM_TESTS_UNIT_CHECKPOINTS_HF_FIXTURE_H

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/parameters.h"
#include "tests/support/suite.h"

static inline struct model_options tiny_options(void)
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
        .without_pairs = true,
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

static inline void model_state_init(struct model_state *state, const struct model_options *options)
{
    struct error error;
    state->options = *options;
    CHECK_OK(parameter_table_init(&state->table, options, &error), error);
    state->weights = memory_take((size_t)state->table.element_count, sizeof(float), "test");
    parameter_fill(&state->table, 1.0, 7, 0, state->table.element_count, state->weights);
}

static inline void model_state_deinit(struct model_state *state)
{
    memory_release(state->weights);
    parameter_table_deinit(&state->table);
}

static inline void scratch_path(char path[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(path, suite_scratch(), name, &error), error);
    CHECK_OK(folder_remove(path, &error), error);
}

static inline void text_put(const char *folder, const char *name, const char *text)
{
    struct error error;
    char path[PATH_BYTES];
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(path, folder, name, &error), error);
    CHECK_OK(file_write_durable(path, text, strlen(text), &error), error);
}

#endif
