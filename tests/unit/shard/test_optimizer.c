/* shard/optimizer: LAMB over parts of tensors that have several owners. That its kernels compute
 * what the paper says is golden (kernels/test_golden_optimizer.c). */
#include "shard/commit.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "tests/support/suite.h"

enum { OWNERS_MAX = 4 };

/* Its word table and its inner matrices span several blocks, and its blocks several tensors. */
static const struct model_options small_model = {.layers = 2,
                                                 .hidden = 64,
                                                 .heads = 2,
                                                 .feed_forward = 256,
                                                 .positions = 64,
                                                 .vocabulary = 500,
                                                 .type_vocabulary = 1,
                                                 .position_offset = 2,
                                                 .norm_epsilon = 1e-5,
                                                 .init_range = 0.02};
static const struct optimizer_options lamb = {.name = OPTIMIZER_NAME_LAMB,
                                              .peak_rate = 1e-2,
                                              .schedule = SCHEDULE_NAME_CONSTANT,
                                              .total_steps = 10,
                                              .betas = {0.9, 0.999},
                                              .epsilon = 1e-6,
                                              .weight_decay = 0.01,
                                              .clip_norm = 1.0};

static void node_open(struct node_state *node, const struct parameter_table *table, int64_t owners)
{
    *node = (struct node_state){0};
    node->window.size_bytes = (size_t)node_state_bytes(table, owners);
    node->window.data = memory_take(node->window.size_bytes, 1, "test");
    node_state_place(node, table, owners);
    for (int64_t r = 0; r < table->row_count; r++) {
        const struct parameter *const tensor = &table->rows[r];
        for (int64_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
            node->weights[i] = (float)(i % 97) * 0.01F - 0.3F;
            node->sums[i] = (i % 1013 - 500) * (INT64_C(1) << 40);
        }
    }
}

/* One step by so many owners, each phase by all of them, the last owner first. */
static void lamb_step(struct node_state *node, const struct parameter_table *table,
                      const struct kernels *kernels, int64_t owners)
{
    struct partition partitions[OWNERS_MAX];
    struct optimizer optimizers[OWNERS_MAX];
    struct optimizer_step step = {.step = 1, .loss_scale = 0.25, .targets = 17};
    for (int64_t i = owners - 1; i >= 0; i--) {
        const struct topology topology = {
            .node_count = 1, .driver_count = owners, .local_index = i};
        partition_init(&partitions[i], table, &topology, 1);
        optimizer_init(&optimizers[i], kernels, &lamb, &partitions[i]);
        optimizer_norms(&optimizers[i], node);
    }
    for (int64_t i = owners - 1; i >= 0; i--) {
        ck_assert(optimizer_adapts(&optimizers[i]));
        optimizer_begin(&optimizers[i], node, &step);
        optimizer_piece_norms(&optimizers[i], node);
    }
    for (int64_t i = owners - 1; i >= 0; i--) {
        commit_update(&optimizers[i], node, step.step, NULL);
        optimizer_deinit(&optimizers[i]);
        partition_deinit(&partitions[i]);
    }
}

START_TEST(test_optimizer_lamb_gives_the_same_bits_for_any_owners)
{
    struct kernels kernels;
    struct parameter_table table;
    struct error error;
    CHECK_OK(kernels_open(&kernels, kernels_level_best(), &error), error);
    CHECK_OK(parameter_table_init(&table, &small_model, &error), error);
    struct node_state expected;
    node_open(&expected, &table, 1);
    lamb_step(&expected, &table, &kernels, 1);
    const size_t size_bytes = (size_t)table.element_count * sizeof(float);
    for (int64_t owners = 2; owners <= OWNERS_MAX; owners++) {
        struct node_state node;
        node_open(&node, &table, owners);
        lamb_step(&node, &table, &kernels, owners);
        ck_assert_mem_eq(node.weights, expected.weights, size_bytes);
        ck_assert_mem_eq(node.first, expected.first, size_bytes);
        ck_assert_mem_eq(node.second, expected.second, size_bytes);
        memory_release(node.window.data);
    }
    memory_release(expected.window.data);
    parameter_table_deinit(&table);
}
END_TEST

/* |w' - w| = rate · |w| for every tensor that decays: what LAMB is for. Each element of w' is
 * rounded by half a unit of its last place, 2^-24 of at most 0.67, against steps of 0.01 · 0.38 in
 * root mean square: 1.1e-5 of the step at worst, and less in a norm. */
START_TEST(test_optimizer_lamb_moves_a_tensor_by_the_rate_times_its_norm)
{
    struct kernels kernels;
    struct parameter_table table;
    struct error error;
    CHECK_OK(kernels_open(&kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(parameter_table_init(&table, &small_model, &error), error);
    struct node_state before;
    struct node_state after;
    node_open(&before, &table, 1);
    node_open(&after, &table, 3);
    lamb_step(&after, &table, &kernels, 3);
    int64_t adapted = 0;
    for (int64_t r = 0; r < table.row_count; r++) {
        const struct parameter *const tensor = &table.rows[r];
        double weights = 0;
        double steps = 0;
        for (int64_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
            const double step = (double)after.weights[i] - (double)before.weights[i];
            weights += (double)before.weights[i] * (double)before.weights[i];
            steps += step * step;
        }
        ck_assert_double_gt(steps, 0);
        if (tensor->decays) {
            ck_assert_double_eq_tol(sqrt(steps / weights), lamb.peak_rate, 1.1e-5 * lamb.peak_rate);
            adapted++;
        }
    }
    ck_assert_int_ge(adapted, 2 * 6 + 3);
    memory_release(after.window.data);
    memory_release(before.window.data);
    parameter_table_deinit(&table);
}
END_TEST

int main(void)
{
    return suite_run(
        "optimizer",
        (const TTest *[]){test_optimizer_lamb_gives_the_same_bits_for_any_owners,
                          test_optimizer_lamb_moves_a_tensor_by_the_rate_times_its_norm, NULL});
}
