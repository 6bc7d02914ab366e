/* checkpoints/checkpoint: what is written comes back, whole, in any cut, by any reader. */
#include "tests/unit/checkpoints/state_fixture.h"

#include <math.h>

START_TEST(test_checkpoint_gives_back_arrays_and_meta_bit_for_bit)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 1);
    state_root(root, "round-trip");
    CHECK_OK(state_write(&state, root, NULL, path, &error), error);
    ck_assert_str_eq(path_name(path), "step-00000500");
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, true, &error), error);
    ck_assert(state_equals(&state, checkpoint));
    const struct checkpoint_meta *const meta = checkpoint_meta(checkpoint);
    ck_assert_int_eq(meta->step, state.meta.step);
    ck_assert_int_eq(meta->tokens, state.meta.tokens);
    ck_assert_uint_eq(meta->seed, state.meta.seed);
    ck_assert(digest_equal(meta->fingerprint, state.meta.fingerprint));
    ck_assert(digest_equal(meta->corpus, state.meta.corpus));
    ck_assert_str_eq(meta->profile, state.meta.profile);
    ck_assert_double_eq(meta->held_out_loss, 2.5);
    ck_assert_str_eq(checkpoint_config(checkpoint), STATE_CONFIG);
    ck_assert_ptr_null(checkpoint_tokenizer(checkpoint));
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_reads_any_range_of_the_flat_space)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 2);
    state_root(root, "ranges");
    CHECK_OK(state_write(&state, root, NULL, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, false, &error), error);
    const int64_t total = state.table.element_count;
    float *const values = memory_take((size_t)total, sizeof *values, "test");
    struct random_stream draws = random_stream_make(random_key_make(2, RANDOM_PURPOSE_TEST, 9), 0);
    for (int i = 0; i < 300; i++) {
        /* half of the ranges short, so that many begin and end inside one row or in padding */
        const uint64_t longest = i % 2 == 0 ? 40 : (uint64_t)total;
        const int64_t first = (int64_t)random_stream_below(&draws, (uint64_t)total + 1);
        int64_t count = (int64_t)random_stream_below(&draws, longest + 1);
        count = count > total - first ? total - first : count;
        const enum checkpoint_array array = (enum checkpoint_array)(i % CHECKPOINT_ARRAY_COUNT);
        CHECK_OK(checkpoint_read(checkpoint, &state.table, array, first, count, values, &error),
                 error);
        ck_assert_int_eq(
            memcmp(values, state.arrays[array] + first, (size_t)count * sizeof *values), 0);
    }
    memory_release(values);
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_reads_every_range_of_a_small_matrix)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 3);
    state_root(root, "matrix");
    CHECK_OK(state_write(&state, root, NULL, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, false, &error), error);
    const struct parameter *const row =
        parameter_find(&state.table, "roberta.encoder.layer.1.attention.self.query.weight");
    ck_assert_ptr_nonnull(row);
    float values[36];
    for (int64_t first = 0; first < row->count; first++) {
        for (int64_t count = 1; first + count <= row->count; count += 5) {
            const int64_t begin = row->offset + first;
            CHECK_OK(checkpoint_read(checkpoint, &state.table, CHECKPOINT_ARRAY_FIRST, begin, count,
                                     values, &error),
                     error);
            ck_assert_int_eq(memcmp(values, state.arrays[CHECKPOINT_ARRAY_FIRST] + begin,
                                    (size_t)count * sizeof *values),
                             0);
        }
    }
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_of_the_same_state_has_the_same_bytes)
{
    struct state state;
    struct error error;
    char text[2][PATH_BYTES];
    state_init(&state, 4);
    for (int i = 0; i < 2; i++) {
        char root[PATH_BYTES];
        char path[PATH_BYTES];
        state_root(root, i == 0 ? "bytes-a" : "bytes-b");
        CHECK_OK(state_write(&state, root, NULL, path, &error), error);
        struct digest digest;
        int64_t size_bytes;
        char manifest[PATH_BYTES]; /* holds the digests of all others */
        CHECK_OK(path_join(manifest, path, "manifest.json", &error), error);
        CHECK_OK(file_digest(manifest, &digest, &size_bytes, &error), error);
        digest_text(digest, text[i]);
    }
    ck_assert_str_eq(text[0], text[1]);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_of_the_same_step_replaces_the_older)
{
    struct state older;
    struct state newer;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&older, 5);
    state_init(&newer, 6);
    state_root(root, "replace");
    CHECK_OK(state_write(&older, root, NULL, path, &error), error);
    CHECK_OK(state_write(&newer, root, NULL, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, true, &error), error);
    ck_assert(state_equals(&newer, checkpoint));
    checkpoint_close(checkpoint);
    struct folder_list list;
    CHECK_OK(folder_list_open(&list, root, &error), error);
    ck_assert_int_eq(list.count, 1);
    folder_list_close(&list);
    state_deinit(&newer);
    state_deinit(&older);
}
END_TEST

START_TEST(test_checkpoint_carries_its_tokenizer)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    char folder[PATH_BYTES];
    char file[PATH_BYTES];
    state_init(&state, 7);
    state_root(root, "tokenizer");
    state_root(folder, "tokenizer-source");
    CHECK_OK(folder_make(folder, &error), error);
    CHECK_OK(path_join(file, folder, "vocab.json", &error), error);
    CHECK_OK(file_write_durable(file, "{}\n", 3, &error), error);
    CHECK_OK(state_write(&state, root, folder, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, true, &error), error);
    const char *const kept = checkpoint_tokenizer(checkpoint);
    ck_assert_ptr_nonnull(kept);
    char *text;
    size_t size_bytes;
    CHECK_OK(path_join(file, kept, "vocab.json", &error), error);
    CHECK_OK(file_read(file, 100, &text, &size_bytes, &error), error);
    ck_assert_str_eq(text, "{}\n");
    memory_release(text);
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_keeps_a_missing_loss_missing)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 8);
    state.meta.held_out_loss = (double)NAN;
    state_root(root, "loss");
    CHECK_OK(state_write(&state, root, NULL, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, true, &error), error);
    ck_assert(isnan(checkpoint_meta(checkpoint)->held_out_loss));
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_is_not_published_without_all_parts)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char partial[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 9);
    state_root(root, "part-missing");
    CHECK_OK(checkpoint_begin(root, 500, partial, &error), error);
    for (int64_t group = 1; group < state.table.group_count; group++) {
        const float *parts[CHECKPOINT_ARRAY_COUNT];
        state_part_arrays(&state, group, parts);
        CHECK_OK(checkpoint_part_write(partial, &state.table, group, parts, &error), error);
    }
    CHECK_FAILS(checkpoint_publish(partial, root, &state.table, &state.meta, STATE_CONFIG, NULL,
                                   path, &error),
                STATUS_IO);
    ck_assert_ptr_nonnull(strstr(error.message, "embeddings.h5"));
    CHECK_OK(path_join(path, root, "step-00000500", &error), error);
    ck_assert(!folder_exists(path));
    state_deinit(&state);
}
END_TEST

/* A write that went wrong unnoticed: a whole HDF5 file, but with other numbers than its writer held. */
START_TEST(test_checkpoint_is_not_published_when_a_part_reads_back_wrong)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char partial[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 10);
    state_root(root, "part-wrong");
    CHECK_OK(checkpoint_begin(root, 500, partial, &error), error);
    for (int64_t group = 0; group < state.table.group_count; group++) {
        const float *parts[CHECKPOINT_ARRAY_COUNT];
        state_part_arrays(&state, group, parts);
        CHECK_OK(checkpoint_part_write(partial, &state.table, group, parts, &error), error);
    }
    char part[PATH_BYTES];
    char *data;
    size_t size_bytes;
    CHECK_OK(path_join(part, partial, "parts/head.h5", &error), error);
    CHECK_OK(file_read(part, (size_t)1 << 24, &data, &size_bytes, &error), error);
    const struct parameter *const row = parameter_find(&state.table, "lm_head.dense.weight");
    char *const place = memmem(data, size_bytes, state.arrays[0] + row->offset, 16);
    ck_assert_ptr_nonnull(place);
    *place = (char)(*place ^ 1);
    CHECK_OK(file_write_durable(part, data, size_bytes, &error), error);
    memory_release(data);
    CHECK_FAILS(checkpoint_publish(partial, root, &state.table, &state.meta, STATE_CONFIG, NULL,
                                   path, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "lm_head.dense.weight"));
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_of_another_model_is_refused_with_the_tensor_named)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    state_init(&state, 11);
    state_root(root, "other-model");
    CHECK_OK(state_write(&state, root, NULL, path, &error), error);
    struct checkpoint *checkpoint;
    CHECK_OK(checkpoint_open(&checkpoint, path, true, &error), error);
    float values[8];

    struct model_options other = state_options();
    struct parameter_table table;
    other.vocabulary = 14;
    CHECK_OK(parameter_table_init(&table, &other, &error), error);
    CHECK_FAILS(checkpoint_read(checkpoint, &table, CHECKPOINT_ARRAY_WEIGHTS, 0, 8, values, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "word_embeddings.weight"));
    parameter_table_deinit(&table);

    other = state_options();
    other.layers = 3;
    CHECK_OK(parameter_table_init(&table, &other, &error), error);
    const int64_t third = table.groups[3].offset;
    CHECK_FAILS(
        checkpoint_read(checkpoint, &table, CHECKPOINT_ARRAY_WEIGHTS, third, 8, values, &error),
        STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, table.groups[3].name));
    parameter_table_deinit(&table);

    other = state_options();
    other.norm = MODEL_NORM_PRE;
    CHECK_OK(parameter_table_init(&table, &other, &error), error);
    CHECK_FAILS(checkpoint_read(checkpoint, &table, CHECKPOINT_ARRAY_WEIGHTS, 0, 8, values, &error),
                STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "missing"));
    parameter_table_deinit(&table);
    checkpoint_close(checkpoint);
    state_deinit(&state);
}
END_TEST

START_TEST(test_checkpoint_that_is_absent_is_the_callers_error)
{
    struct checkpoint *checkpoint;
    struct error error;
    char root[PATH_BYTES];
    state_root(root, "absent");
    CHECK_FAILS(checkpoint_open(&checkpoint, root, true, &error), STATUS_INPUT);
    ck_assert_ptr_null(checkpoint);
    checkpoint_close(NULL);
}
END_TEST

int main(void)
{
    return suite_run("checkpoint",
                     (const TTest *[]){
                         test_checkpoint_gives_back_arrays_and_meta_bit_for_bit,
                         test_checkpoint_reads_any_range_of_the_flat_space,
                         test_checkpoint_reads_every_range_of_a_small_matrix,
                         test_checkpoint_of_the_same_state_has_the_same_bytes,
                         test_checkpoint_of_the_same_step_replaces_the_older,
                         test_checkpoint_carries_its_tokenizer,
                         test_checkpoint_keeps_a_missing_loss_missing,
                         test_checkpoint_is_not_published_without_all_parts,
                         test_checkpoint_is_not_published_when_a_part_reads_back_wrong,
                         test_checkpoint_of_another_model_is_refused_with_the_tensor_named,
                         test_checkpoint_that_is_absent_is_the_callers_error,
                         NULL,
                     });
}
