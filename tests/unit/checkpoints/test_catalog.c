/* checkpoints/catalog: what counts as a checkpoint, which is the newest good one, which may go. */
#include "checkpoints/catalog.h"

#include "tests/unit/checkpoints/state_fixture.h"

static void write_at(struct state *state, const char *root, int64_t step, char path[PATH_BYTES])
{
    struct error error;
    state->meta.step = step;
    CHECK_OK(state_write(state, root, NULL, path, &error), error);
}

/* Flips one bit in the middle of a part. */
static void damage(const char *path)
{
    struct error error;
    char part[PATH_BYTES];
    char *data;
    size_t size_bytes;
    CHECK_OK(path_join(part, path, "parts/head.h5", &error), error);
    CHECK_OK(file_read(part, (size_t)1 << 24, &data, &size_bytes, &error), error);
    data[size_bytes / 2] = (char)(data[size_bytes / 2] ^ 4);
    CHECK_OK(file_write_durable(part, data, size_bytes, &error), error);
    memory_release(data);
}

static void folder_at(const char *root, const char *name)
{
    struct error error;
    char path[PATH_BYTES];
    CHECK_OK(path_join(path, root, name, &error), error);
    CHECK_OK(folder_make(path, &error), error);
}

/* The folder's names, comma between. */
static void names_of(const char *root, char *text, size_t text_bytes)
{
    struct error error;
    struct folder_list list;
    CHECK_OK(folder_list_open(&list, root, &error), error);
    text[0] = '\0';
    for (int64_t i = 0; i < list.count; i++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, text_bytes - used, "%s%s", i == 0 ? "" : ",", list.names[i]);
    }
    folder_list_close(&list);
}

START_TEST(test_catalog_lists_published_steps_in_order_and_nothing_else)
{
    struct error error;
    struct catalog catalog;
    char root[PATH_BYTES];
    state_root(root, "list");
    CHECK_OK(catalog_open(&catalog, root, &error), error);
    ck_assert_int_eq(catalog.count, 0);
    catalog_close(&catalog);
    static const char *const names[] = {"step-123456789",
                                        "step-00000020",
                                        ".step-00000030.partial",
                                        "step-20",
                                        "step-000000040",
                                        "step-00000005x",
                                        "notes",
                                        "step-00000003",
                                        ".step-00000020.replaced",
                                        "step--0000001",
                                        "step-99999999999999999999",
                                        ".step-00000007.replaced",
                                        ".step-00000008.removed"};
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        folder_at(root, names[i]);
    }
    CHECK_OK(catalog_open(&catalog, root, &error), error);
    static const int64_t steps[] = {3, 7, 20, 123456789};
    ck_assert_int_eq(catalog.count, ARRAY_LENGTH(steps));
    for (int64_t i = 0; i < catalog.count; i++) {
        ck_assert_int_eq(catalog.entries[i].step, steps[i]);
    }
    ck_assert_str_eq(path_name(catalog.entries[2].path), "step-00000020");
    catalog_close(&catalog);
    catalog_close(&catalog);
}
END_TEST

START_TEST(test_catalog_newest_good_falls_back_past_damaged_ones)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    int64_t step;
    state_init(&state, 1);
    state_root(root, "newest");
    CHECK_FAILS(catalog_newest_good(root, path, &step, &error), STATUS_INPUT);
    write_at(&state, root, 10, path);
    write_at(&state, root, 20, path);
    damage(path);
    folder_at(root, "step-00000030"); /* has no manifest */
    CHECK_OK(catalog_newest_good(root, path, &step, &error), error);
    ck_assert_int_eq(step, 10);
    ck_assert_str_eq(path_name(path), "step-00000010");
    damage(path);
    CHECK_FAILS(catalog_newest_good(root, path, &step, &error), STATUS_FORMAT);
    state_deinit(&state);
}
END_TEST

START_TEST(test_catalog_passes_over_a_checkpoint_under_a_false_name)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    int64_t step;
    state_init(&state, 1);
    state_root(root, "misnamed");
    write_at(&state, root, 10, path);
    CHECK_OK(path_join(other, root, "step-00000099", &error), error);
    CHECK_OK(file_rename(path, other, &error), error);
    CHECK_FAILS(catalog_newest_good(root, path, &step, &error), STATUS_FORMAT);
    state_deinit(&state);
}
END_TEST

START_TEST(test_catalog_retains_newest_divisible_and_protected)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    char names[512];
    state_init(&state, 1);
    state_root(root, "retain");
    for (int64_t step = 10; step <= 80; step += 10) {
        write_at(&state, root, step, path);
    }
    const struct checkpoint_options options = {.keep = 2, .keep_every = 40};
    CHECK_OK(catalog_retain(root, &options, 20, -1, &error), error);
    names_of(root, names, sizeof names);
    ck_assert_str_eq(names, "step-00000020,step-00000040,step-00000070,step-00000080");
    const struct checkpoint_options none = {.keep = 0}; /* the newest stays in any case */
    CHECK_OK(catalog_retain(root, &none, -1, -1, &error), error);
    names_of(root, names, sizeof names);
    ck_assert_str_eq(names, "step-00000080");
    state_deinit(&state);
}
END_TEST

START_TEST(test_catalog_removes_leftovers_but_not_what_is_being_written)
{
    struct error error;
    char root[PATH_BYTES];
    char names[512];
    state_root(root, "leftovers");
    static const char *const made[] = {".step-00000010.partial/parts",
                                       ".step-00000020.partial/parts",
                                       ".step-00000030.removed/parts",
                                       ".step-00000040.replaced/parts",
                                       "step-00000040",
                                       "other",
                                       ".step-00000050.replaced/parts"};
    for (int64_t i = 0; i < ARRAY_LENGTH(made); i++) {
        folder_at(root, made[i]);
    }
    const struct checkpoint_options options = {.keep = 3};
    CHECK_OK(catalog_retain(root, &options, -1, 20, &error), error);
    names_of(root, names, sizeof names);
    /* 50 was being replaced when its writer died: the old one gets its name back */
    ck_assert_str_eq(names, ".step-00000020.partial,other,step-00000040,step-00000050");
    CHECK_OK(path_join(root, suite_scratch(), "no-such-folder", &error), error);
    CHECK_OK(catalog_retain(root, &options, -1, -1, &error), error);
}
END_TEST

START_TEST(test_catalog_never_removes_the_only_good_one)
{
    struct state state;
    struct error error;
    char root[PATH_BYTES];
    char path[PATH_BYTES];
    char names[512];
    state_init(&state, 1);
    state_root(root, "only-good");
    write_at(&state, root, 10, path);
    write_at(&state, root, 20, path);
    damage(path);
    write_at(&state, root, 30, path);
    damage(path);
    const struct checkpoint_options options = {.keep = 2};
    CHECK_OK(catalog_retain(root, &options, -1, -1, &error), error);
    names_of(root, names, sizeof names);
    ck_assert_str_eq(names, "step-00000010,step-00000020,step-00000030");
    write_at(&state, root, 40, path);
    CHECK_OK(catalog_retain(root, &options, -1, -1, &error), error);
    names_of(root, names, sizeof names);
    ck_assert_str_eq(names, "step-00000030,step-00000040");
    state_deinit(&state);
}
END_TEST

int main(void)
{
    return suite_run("catalog", (const TTest *[]){
                                    test_catalog_lists_published_steps_in_order_and_nothing_else,
                                    test_catalog_newest_good_falls_back_past_damaged_ones,
                                    test_catalog_passes_over_a_checkpoint_under_a_false_name,
                                    test_catalog_retains_newest_divisible_and_protected,
                                    test_catalog_removes_leftovers_but_not_what_is_being_written,
                                    test_catalog_never_removes_the_only_good_one,
                                    NULL,
                                });
}
