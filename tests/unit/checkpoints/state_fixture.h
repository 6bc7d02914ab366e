/* A tiny run's state for the tests of checkpoints/: two layers, arrays of arbitrary bit patterns (NaN and denormals
 * too), zero padding, and a checkpoint of it in the scratch folder. */
#ifndef SHARDLM_TESTS_STATE_FIXTURE_H
#define SHARDLM_TESTS_STATE_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "checkpoints/checkpoint.h"
#include "tests/support/suite.h"

#define STATE_CONFIG "seed: 1\nmodel: {layers: 2}\n"

struct state {
    struct model_options options;
    struct parameter_table table;
    float *arrays[CHECKPOINT_ARRAY_COUNT]; /* whole flat space each */
    struct checkpoint_meta meta;
};

static inline struct model_options state_options(void)
{
    return (struct model_options){
        .family = MODEL_FAMILY_ROBERTA,
        .layers = 2,
        .hidden = 6,
        .heads = 2,
        .feed_forward = 10,
        .positions = 7,
        .position_offset = 2,
        .vocabulary = 13,
        .type_vocabulary = 1,
        .pad_id = 1,
        .dropout = 0.1,
        .attention_dropout = 0.1,
        .norm_epsilon = 1e-5,
        .init_range = 0.02,
    };
}

static inline void state_init_layers(struct state *state, uint64_t seed, int64_t layers)
{
    struct error error;
    state->options = state_options();
    state->options.layers = layers;
    CHECK_OK(parameter_table_init(&state->table, &state->options, &error), error);
    for (uint64_t array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        const struct random_key key = random_key_make(seed, RANDOM_PURPOSE_TEST, array);
        float *const values =
            memory_take((size_t)state->table.element_count, sizeof *values, "test");
        for (int64_t i = 0; i < state->table.row_count; i++) {
            const struct parameter *const row = &state->table.rows[i];
            for (int64_t k = row->offset; k < row->offset + row->count; k++) {
                const struct random_block block = random_at(key, 0, (uint64_t)k);
                memcpy(&values[k], &block.word[0], sizeof values[k]);
            }
        }
        state->arrays[array] = values;
    }
    state->meta = (struct checkpoint_meta){
        .step = 500,
        .tokens = 1234567,
        .seed = UINT64_MAX - seed,
        .fingerprint = {.low = seed, .high = 7},
        .corpus = {.low = 3, .high = UINT64_MAX},
        .profile = "compute=fp32 slot_tokens=1024",
        .held_out_loss = 2.5,
    };
}

static inline void state_init(struct state *state, uint64_t seed)
{
    state_init_layers(state, seed, 2);
}

static inline void state_deinit(struct state *state)
{
    for (int array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        memory_release(state->arrays[array]);
    }
    parameter_table_deinit(&state->table);
}

/* ROOT in the scratch folder, empty. */
static inline void state_root(char root[PATH_BYTES], const char *name)
{
    struct error error;
    CHECK_OK(path_join(root, suite_scratch(), name, &error), error);
    CHECK_OK(folder_remove(root, &error), error);
}

static inline void state_part_arrays(const struct state *state, int64_t group,
                                     const float *parts[CHECKPOINT_ARRAY_COUNT])
{
    for (int array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        parts[array] = state->arrays[array] + state->table.groups[group].offset;
    }
}

/* The three acts of writing at state->meta.step. */
static inline enum status state_write(const struct state *state, const char *root,
                                      const char *tokenizer, char published[PATH_BYTES],
                                      struct error *error)
{
    char partial[PATH_BYTES];
    TRY(checkpoint_begin(root, state->meta.step, partial, error));
    for (int64_t group = 0; group < state->table.group_count; group++) {
        const float *parts[CHECKPOINT_ARRAY_COUNT];
        state_part_arrays(state, group, parts);
        TRY(checkpoint_part_write(partial, &state->table, group, parts, error));
    }
    return checkpoint_publish(partial, root, &state->table, &state->meta, STATE_CONFIG, tokenizer,
                              published, error);
}

/* Does an open checkpoint hold exactly this state? */
static inline bool state_equals(const struct state *state, const struct checkpoint *checkpoint)
{
    const size_t count = (size_t)state->table.element_count;
    float *const values = memory_take(count, sizeof *values, "test");
    bool equal = true;
    for (int array = 0; array < CHECKPOINT_ARRAY_COUNT; array++) {
        struct error error;
        CHECK_OK(checkpoint_read(checkpoint, &state->table, (enum checkpoint_array)array, 0,
                                 state->table.element_count, values, &error),
                 error);
        equal = equal && memcmp(values, state->arrays[array], count * sizeof *values) == 0;
    }
    memory_release(values);
    return equal;
}

#endif
