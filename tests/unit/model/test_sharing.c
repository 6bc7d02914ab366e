/* model/: layers that share tensors (ALBERT): gradients against finite differences, the order of hand-over, names, and
 * the same results as copies of the tensors would give. */
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "tests/support/suite.h"
#include "tests/unit/model/model_bench.h"

static struct model_options albert_shared(enum model_share share, int64_t groups, int64_t inner)
{
    struct model_options options = family_tiny(MODEL_FAMILY_ALBERT, 0.1);
    options.layers = 4;
    options.share = share;
    options.groups = groups;
    options.inner_layers = inner;
    return options;
}

/* Every way to share, over four layers. */
static struct model_options albert_case(int i)
{
    switch (i) {
    case 0:
        return albert_shared(MODEL_SHARE_NONE, 1, 1);
    case 1:
        return albert_shared(MODEL_SHARE_ALL, 1, 1);
    case 2:
        return albert_shared(MODEL_SHARE_ALL, 2, 1);
    case 3:
        return albert_shared(MODEL_SHARE_ALL, 2, 2);
    case 4:
        return albert_shared(MODEL_SHARE_ATTENTION, 1, 1);
    case 5:
        return albert_shared(MODEL_SHARE_FEED_FORWARD, 2, 1);
    default:
        return albert_shared(MODEL_SHARE_ATTENTION, 1, 2);
    }
}

START_TEST(test_sharing_layers_have_the_sum_of_their_gradients)
{
    struct model_options options = albert_case(_i);
    options.dropout = options.attention_dropout = 0.0;
    check_gradients(&options);
}
END_TEST

/* From the last group of the flat space to the first, which is the order in which nodes begin their sums. */
START_TEST(test_sharing_hands_over_each_group_once_and_from_the_last_to_the_first)
{
    static const int64_t group_counts[] = {6, 3, 4, 6, 7, 8, 8};
    const struct model_options options = albert_case(_i);
    struct bench bench;
    bench_open(&bench, KERNELS_LEVEL_REFERENCE, &options, &limits_tiny);
    struct batch batch = batch_tiny();
    (void)bench_train(&bench, &batch);
    ck_assert_int_eq(bench.table->group_count, group_counts[_i]);
    ck_assert_int_eq(bench.group_count, bench.table->group_count);
    for (int64_t i = 0; i < bench.group_count; i++) {
        ck_assert_int_eq(bench.groups[i], bench.group_count - 1 - i);
    }
    int64_t place = 0; /* padding is zero */
    for (int64_t r = 0; r < bench.table->row_count; r++) {
        for (; place < bench.table->rows[r].offset; place++) {
            ck_assert(bench.gradient[place] == 0.0F);
        }
        place += bench.table->rows[r].count;
    }
    for (; place < bench.table->element_count; place++) {
        ck_assert(bench.gradient[place] == 0.0F);
    }
    batch_deinit(&batch);
    bench_close(&bench);
}
END_TEST

/* Copies each tensor of `from` to where the layers of `to`, which share nothing, keep theirs. */
static void weights_expand(const struct bench *to, const struct bench *from, int64_t layers)
{
    const struct parameter_table *const table = to->table;
    for (int64_t r = 0; r < table->row_count; r++) {
        const struct parameter *const row = &table->rows[r];
        const struct parameter_group *const group = &table->groups[row->group];
        int64_t source = row->group == 0 ? 0 : from->table->group_count - 1;
        if (group->lowest_layer >= 0) {
            ck_assert_int_lt(group->lowest_layer, layers);
            source =
                parameter_layer_group(from->table, group->lowest_layer, PARAMETER_HALF_ATTENTION);
            if (parameter_maybe(from->table, source, row->role) == NULL) {
                source = parameter_layer_group(from->table, group->lowest_layer,
                                               PARAMETER_HALF_FEED_FORWARD);
            }
        }
        const struct parameter *const other = parameter_of(from->table, source, row->role);
        memcpy(to->weights + row->offset, from->weights + other->offset,
               (size_t)row->count * sizeof(float));
    }
}

START_TEST(test_sharing_computes_what_copies_of_the_tensors_would)
{
    const struct model_options shared = albert_case(_i);
    const struct model_options copied = albert_shared(MODEL_SHARE_NONE, 1, shared.inner_layers);
    struct bench one;
    struct bench many;
    bench_open(&one, KERNELS_LEVEL_REFERENCE, &shared, &limits_tiny);
    bench_open(&many, KERNELS_LEVEL_REFERENCE, &copied, &limits_tiny);
    weights_expand(&many, &one, shared.layers);
    struct batch batch = batch_tiny();
    ck_assert(bench_loss(&one, &batch) == bench_loss(&many, &batch));
    batch_deinit(&batch);
    bench_close(&many);
    bench_close(&one);
}
END_TEST

START_TEST(test_sharing_names_follow_hugging_face_groups)
{
    struct error error = {0};
    const struct model_options options = albert_case(_i);
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    static const char *const last_query[] = {
        "3.albert_layers.0", "0.albert_layers.0", "1.albert_layers.0", "1.albert_layers.1",
        "0.albert_layers.0", "3.albert_layers.0", "0.albert_layers.1"};
    static const char *const last_inner[] = {
        "3.albert_layers.0", "0.albert_layers.0", "1.albert_layers.0", "1.albert_layers.1",
        "3.albert_layers.0", "1.albert_layers.0", "1.albert_layers.1"};
    char name[PARAMETER_NAME_BYTES];
    (void)snprintf(name, sizeof name,
                   "albert.encoder.albert_layer_groups.%s.attention.query.weight", last_query[_i]);
    const int64_t attention = parameter_layer_group(&table, 3, PARAMETER_HALF_ATTENTION);
    ck_assert_str_eq(parameter_of(&table, attention, PARAMETER_QUERY_WEIGHT)->name, name);
    (void)snprintf(name, sizeof name, "albert.encoder.albert_layer_groups.%s.ffn.weight",
                   last_inner[_i]);
    const int64_t feed_forward = parameter_layer_group(&table, 3, PARAMETER_HALF_FEED_FORWARD);
    ck_assert_str_eq(parameter_of(&table, feed_forward, PARAMETER_INNER_WEIGHT)->name, name);
    for (int64_t r = 0; r < table.row_count; r++) { /* no two are the same */
        ck_assert_ptr_eq(parameter_find(&table, table.rows[r].name), &table.rows[r]);
    }
    parameter_table_deinit(&table);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "sharing",
        (const TTest *[]){test_sharing_layers_have_the_sum_of_their_gradients,
                          test_sharing_hands_over_each_group_once_and_from_the_last_to_the_first,
                          test_sharing_computes_what_copies_of_the_tensors_would,
                          test_sharing_names_follow_hugging_face_groups, NULL},
        7);
}
