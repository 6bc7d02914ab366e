/* shard/partition: every element of the flat space has exactly one owner, whatever the shape of the
 * cluster. */
#include "shard/partition.h"

#include "base/memory.h"
#include "tests/support/suite.h"

static const struct model_options small_model = {
    .layers = 3,
    .hidden = 48,
    .heads = 4,
    .feed_forward = 112,
    .positions = 32,
    .position_offset = 2,
    .vocabulary = 700,
    .type_vocabulary = 1,
    .pad_id = 1,
    .norm_epsilon = 1e-5,
    .init_range = 0.02,
};

/* Adds one to `owners` for each element that worker (node, local) of the shape owns. */
static void owned_mark(const struct parameter_table *table, int64_t nodes, int64_t drivers,
                       int64_t node, int64_t local, int64_t stage, unsigned char *owners)
{
    const struct topology topology = {.node_index = node,
                                      .node_count = nodes,
                                      .local_index = local,
                                      .local_count = drivers + 1,
                                      .driver_count = drivers};
    struct partition partition;
    partition_init(&partition, table, &topology, stage);
    for (int64_t group = 0; group < table->group_count; group++) {
        const struct partition_range owned = partition.owned[group];
        ck_assert_int_eq(owned.first % PARAMETER_BLOCK, 0);
        for (int64_t i = 0; i < owned.count; i++) {
            owners[owned.first + i]++;
        }
    }
    partition_deinit(&partition);
}

static void shape_check(int64_t nodes, int64_t drivers, int64_t stage)
{
    struct error error;
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &small_model, &error), error);
    unsigned char *const owners = memory_take((size_t)table.element_count, 1, "test");
    for (int64_t node = 0; node < nodes; node++) {
        /* one worker more than there are drivers: it owns nothing */
        for (int64_t local = 0; local <= drivers; local++) {
            owned_mark(&table, nodes, drivers, node, local, stage, owners);
        }
    }
    const unsigned char expected = stage == 0 ? (unsigned char)nodes : 1;
    int64_t wrong = 0;
    for (int64_t i = 0; i < table.element_count; i++) {
        wrong += owners[i] == expected ? 0 : 1;
    }
    ck_assert_int_eq(wrong, 0);
    memory_release(owners);
    parameter_table_deinit(&table);
}

START_TEST(test_partition_gives_every_element_one_owner)
{
    for (int64_t nodes = 1; nodes <= 5; nodes++) {
        for (int64_t drivers = 1; drivers <= 7; drivers++) {
            shape_check(nodes, drivers, 1);
        }
    }
}
END_TEST

START_TEST(test_partition_stage_0_gives_every_node_an_owner)
{
    shape_check(1, 3, 0);
    shape_check(4, 2, 0);
}
END_TEST

START_TEST(test_partition_pieces_cover_the_slice_in_order)
{
    struct error error;
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &small_model, &error), error);
    const struct topology topology = {
        .node_index = 1, .node_count = 3, .local_index = 1, .local_count = 2, .driver_count = 2};
    struct partition partition;
    partition_init(&partition, &table, &topology, 1);
    for (int64_t group = 0; group < table.group_count; group++) {
        int64_t firsts[4];
        partition_pieces(&partition, group, 1, firsts);
        const struct partition_range slice = partition_slice(&partition, group, 1);
        ck_assert_int_eq(firsts[0], slice.first);
        ck_assert_int_eq(firsts[3], slice.first + slice.count);
        ck_assert_int_eq(firsts[1], partition.owned[group].first);
        ck_assert_int_eq(firsts[2] - firsts[1], partition.owned[group].count);
    }
    partition_deinit(&partition);
    parameter_table_deinit(&table);
}
END_TEST

int main(void)
{
    return suite_run("partition",
                     (const TTest *[]){test_partition_gives_every_element_one_owner,
                                       test_partition_stage_0_gives_every_node_an_owner,
                                       test_partition_pieces_cover_the_slice_in_order, NULL});
}
