/* shard/accumulator and shard/optimizer on one node in one process: the order of slots leaves no
 * trace, a float sum would leave one, and bad gradients are noticed. No MPI: a node of workers that
 * take turns. */
#include "shard/accumulator.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/operations.h"
#include "shard/commit.h"
#include "tests/support/suite.h"

enum { SLOTS = 8 };

static const struct model_options small_model = {
    .layers = 2,
    .hidden = 32,
    .heads = 4,
    .feed_forward = 64,
    .positions = 16,
    .position_offset = 2,
    .vocabulary = 300,
    .type_vocabulary = 1,
    .pad_id = 1,
    .norm_epsilon = 1e-5,
    .init_range = 0.02,
};

static const struct optimizer_options adamw = {.peak_rate = 1e-3,
                                               .schedule = SCHEDULE_NAME_CONSTANT,
                                               .total_steps = 10,
                                               .betas = {0.9, 0.98},
                                               .epsilon = 1e-6,
                                               .weight_decay = 0.01,
                                               .bias_correction = true,
                                               .clip_norm = 1.0};

/* One node with `workers` workers, all played by this process; memory is ordinary. */
struct bench_node {
    struct kernels kernels;
    struct parameter_table table;
    struct node_state node;
    struct topology topologies[4];
    struct partition partitions[4];
    struct accumulator accumulators[4];
    struct optimizer optimizers[4];
    int64_t workers;
};

static void bench_open_model(struct bench_node *bench, int64_t workers,
                             const struct model_options *options)
{
    struct error error;
    memset(bench, 0, sizeof *bench);
    bench->workers = workers;
    CHECK_OK(kernels_open(&bench->kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(parameter_table_init(&bench->table, options, &error), error);
    struct node_state *const node = &bench->node;
    node->window.size_bytes = (size_t)node_state_bytes(&bench->table, workers);
    node->window.data = memory_take(node->window.size_bytes, 1, "test");
    node_state_place(node, &bench->table, workers);
    for (int64_t i = 0; i < workers; i++) {
        bench->topologies[i] = (struct topology){.node_count = 1,
                                                 .worker_count = workers,
                                                 .worker_index = i,
                                                 .local_index = i,
                                                 .local_count = workers,
                                                 .driver_count = workers};
        partition_init(&bench->partitions[i], &bench->table, &bench->topologies[i], 1);
        CHECK_OK(accumulator_init(&bench->accumulators[i], &bench->kernels, &bench->topologies[i],
                                  &bench->partitions[i], node, NULL, SLOTS, 5.0, &error),
                 error);
        optimizer_init(&bench->optimizers[i], &bench->kernels, &adamw, &bench->partitions[i]);
    }
    for (int64_t i = 0; i < node->element_count; i++) {
        node->weights[i] = (float)(i % 97) * 0.01F - 0.3F;
    }
}

static void bench_open(struct bench_node *bench, int64_t workers)
{
    bench_open_model(bench, workers, &small_model);
}

static void bench_close(struct bench_node *bench)
{
    for (int64_t i = 0; i < bench->workers; i++) {
        optimizer_deinit(&bench->optimizers[i]);
        accumulator_deinit(&bench->accumulators[i]);
        partition_deinit(&bench->partitions[i]);
    }
    memory_release(bench->node.window.data);
    parameter_table_deinit(&bench->table);
}

static float gradient_value(int64_t slot, int64_t element)
{
    const struct random_block bits =
        random_at(random_key_make(5, RANDOM_PURPOSE_TEST, (uint64_t)slot), 0, (uint64_t)element);
    return (float)((random_unit(bits) - 0.5) * exp2(-(double)(bits.word[3] % 30)));
}

static void slot_add(struct bench_node *bench, int64_t worker, int64_t slot)
{
    struct error error;
    for (int64_t group = bench->table.group_count - 1; group >= 0; group--) {
        const struct parameter_group *const row = &bench->table.groups[group];
        float *const gradient = memory_take((size_t)row->count, sizeof *gradient, "test");
        for (int64_t i = 0; i < row->count; i++) {
            gradient[i] = gradient_value(slot, row->offset + i);
        }
        CHECK_OK(accumulator_add(&bench->accumulators[worker], slot, group, gradient, &error),
                 error);
        memory_release(gradient);
    }
}

/* Adds worker `w`'s pieces, of two, of slot 3's gradient of a group. */
static void pieces_add(struct bench_node *bench, int64_t w, int64_t group)
{
    struct error error;
    struct gradient_block list[64];
    struct gradient_blocks groups[8];
    const struct parts parts = parts_make(4, w, 2, NULL);
    const int64_t offset = bench->table.groups[group].offset;
    ck_assert_int_le(bench->table.group_count, ARRAY_LENGTH(groups));
    groups[group] = (struct gradient_blocks){
        .blocks = list,
        .count = gradient_blocks_list(&bench->table, &parts, group, list),
        .elements = gradient_blocks_elements(&bench->table, &parts, group)};
    float *const gradient = memory_take((size_t)groups[group].elements, sizeof *gradient, "test");
    for (int64_t b = 0; b < groups[group].count; b++) {
        for (int64_t i = 0; i < list[b].rows * list[b].width; i++) {
            const int64_t row = i / list[b].width;
            const int64_t column = i % list[b].width;
            gradient[list[b].local + row * list[b].local_stride + column] =
                gradient_value(3, offset + list[b].first + row * list[b].stride + column);
        }
    }
    bench->accumulators[w].blocks = groups;
    CHECK_OK(accumulator_add(&bench->accumulators[w], 3, group, gradient, &error), error);
    bench->accumulators[w].blocks = NULL;
    memory_release(gradient);
}

/* Of a model whose matrices lie under several locks. */
START_TEST(test_accumulator_pieces_of_a_gradient_add_up_to_the_whole)
{
    struct bench_node whole;
    struct bench_node cut;
    struct model_options options = small_model;
    options.hidden = 160;
    options.feed_forward = 512;
    bench_open_model(&whole, 1, &options);
    bench_open_model(&cut, 2, &options);
    for (int64_t i = 0; i < cut.node.element_count; i++) {
        cut.node.sums[i] = 99; /* of a step before */
    }
    ck_assert_int_gt(cut.table.groups[1].count, 3 * NODE_STATE_LOCK_BLOCKS * PARAMETER_BLOCK);
    slot_add(&whole, 0, 3);
    for (int64_t group = 0; group < cut.table.group_count; group++) {
        pieces_add(&cut, 1, group);
        pieces_add(&cut, 0, group);
    }
    for (int64_t r = 0; r < cut.table.row_count; r++) {
        const struct parameter *const row = &cut.table.rows[r];
        ck_assert_mem_eq(cut.node.sums + row->offset, whole.node.sums + row->offset,
                         (size_t)row->count * sizeof *cut.node.sums);
    }
    bench_close(&cut);
    bench_close(&whole);
}
END_TEST

static int64_t slots_of(int64_t workers, int64_t worker)
{
    return SLOTS / workers + (worker < SLOTS % workers ? 1 : 0);
}

/* A whole step: `order` says which slot comes when; slot i goes to worker i mod workers. Whether
 * workers know in advance which slot is their last, and what stands in the sums, is of no account.
 */
static struct digest step_fingerprint(const struct kernels *kernels, int64_t workers,
                                      const int64_t order[SLOTS], bool knows_last, int64_t rests)
{
    struct bench_node bench;
    bench_open(&bench, workers);
    bench.kernels = *kernels;
    struct error error;
    for (int64_t i = 0; i < bench.node.element_count; i++) {
        bench.node.sums[i] = rests; /* of a step before */
    }
    for (int64_t w = 0; w < workers && knows_last; w++) {
        accumulator_final(&bench.accumulators[w], slots_of(workers, w));
    }
    for (int64_t i = 0; i < SLOTS; i++) {
        slot_add(&bench, i % workers, order[i]);
    }
    for (int64_t w = 0; w < workers && !knows_last; w++) {
        accumulator_final(&bench.accumulators[w], slots_of(workers, w));
    }
    for (int64_t w = 0; w < workers; w++) {
        CHECK_OK(accumulator_finish(&bench.accumulators[w], &error), error);
        optimizer_norms(&bench.optimizers[w], &bench.node);
    }
    struct optimizer_step step = {.step = 3, .loss_scale = 0.25, .targets = 17};
    for (int64_t w = 0; w < workers; w++) {
        optimizer_begin(&bench.optimizers[w], &bench.node, &step);
        commit_update(&bench.optimizers[w], &bench.node, step.step, NULL);
    }
    const struct digest fingerprint =
        fingerprint_combine(bench.node.digests, bench.node.block_count, 3);
    bench_close(&bench);
    return fingerprint;
}

START_TEST(test_accumulator_gives_the_same_bits_for_any_workers_and_order)
{
    const int64_t forward[SLOTS] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int64_t mixed[SLOTS] = {5, 2, 7, 0, 6, 1, 4, 3};
    struct kernels kernels;
    struct error error;
    CHECK_OK(kernels_open(&kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    const struct digest expected = step_fingerprint(&kernels, 1, forward, false, 0);
    ck_assert(digest_equal(step_fingerprint(&kernels, 1, mixed, true, 77), expected));
    ck_assert(digest_equal(step_fingerprint(&kernels, 2, mixed, false, -5), expected));
    ck_assert(digest_equal(step_fingerprint(&kernels, 3, forward, true, 0), expected));
    ck_assert(digest_equal(step_fingerprint(&kernels, 4, mixed, true, INT64_MAX), expected));
}
END_TEST

/* The mutation: the same kernel table with float sums (kept in the integers' places) where the
 * exact ones were. */
static bool float_add(int64_t *sums, const float *values, int fraction_bits, int limit_bits,
                      int64_t count)
{
    (void)fraction_bits;
    (void)limit_bits;
    for (int64_t i = 0; i < count; i++) {
        float sum;
        memcpy(&sum, &sums[i], sizeof sum);
        sum += values[i];
        memcpy(&sums[i], &sum, sizeof sum);
    }
    return true;
}

static bool float_set(int64_t *sums, const float *values, int fraction_bits, int limit_bits,
                      int64_t count)
{
    memset(sums, 0, (size_t)count * sizeof *sums);
    return float_add(sums, values, fraction_bits, limit_bits, count);
}

static bool float_finish(float *gradient, double *squares, const int64_t *sums, const float *values,
                         int fraction_bits, int limit_bits, int64_t count)
{
    (void)fraction_bits;
    (void)limit_bits;
    for (int64_t i = 0; i < count; i++) {
        float sum = 0;
        if (sums != NULL) {
            memcpy(&sum, &sums[i], sizeof sum);
        }
        gradient[i] = values != NULL ? sum + values[i] : sum;
    }
    *squares = square_sum_reference(gradient, count);
    return true;
}

START_TEST(test_accumulator_check_would_notice_a_float_sum)
{
    const int64_t forward[SLOTS] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int64_t mixed[SLOTS] = {5, 2, 7, 0, 6, 1, 4, 3};
    struct kernels mutant;
    struct error error;
    CHECK_OK(kernels_open(&mutant, KERNELS_LEVEL_REFERENCE, &error), error);
    mutant.fixed_point_add = float_add;
    mutant.fixed_point_set = float_set;
    mutant.fixed_point_finish = float_finish;
    const struct digest expected = step_fingerprint(&mutant, 1, forward, false, 0);
    ck_assert(digest_equal(step_fingerprint(&mutant, 1, forward, false, 0), expected));
    ck_assert(!digest_equal(step_fingerprint(&mutant, 1, mixed, false, 0), expected));
}
END_TEST

START_TEST(test_accumulator_notes_the_lowest_slot_that_is_not_finite)
{
    struct bench_node bench;
    bench_open(&bench, 2);
    struct error error;
    const struct parameter_group *const row = &bench.table.groups[1];
    float *const gradient = memory_take((size_t)row->count, sizeof *gradient, "test");
    gradient[row->count - 5] = INFINITY;
    CHECK_OK(accumulator_add(&bench.accumulators[0], 6, 1, gradient, &error), error);
    gradient[row->count - 5] = NAN;
    CHECK_OK(accumulator_add(&bench.accumulators[1], 4, 1, gradient, &error), error);
    gradient[row->count - 5] = ldexpf(1.0F, bench.accumulators[0].limit_bits);
    CHECK_OK(accumulator_add(&bench.accumulators[1], 5, 1, gradient, &error), error);
    ck_assert_int_eq(atomic_load(&bench.node.header->totals[NODE_TOTAL_BAD_SLOTS]), 3);
    ck_assert_int_eq(atomic_load(&bench.node.header->first_bad_slot), 5);
    memory_release(gradient);
    bench_close(&bench);
}
END_TEST

/* A bad gradient, and groups of which a slot has nothing here. */
START_TEST(test_accumulator_counts_as_zero_what_no_slot_has_written)
{
    struct bench_node bench;
    bench_open(&bench, 2);
    struct error error;
    const struct parameter_group *const row = &bench.table.groups[1];
    float *const gradient = memory_take((size_t)row->count, sizeof *gradient, "test");
    for (int64_t i = 0; i < bench.node.element_count; i++) {
        bench.node.sums[i] = 99; /* of a step before */
    }
    accumulator_final(&bench.accumulators[0], 1);
    accumulator_final(&bench.accumulators[1], 0);
    gradient[0] = NAN;
    for (int64_t group = 0; group < bench.table.group_count; group++) {
        CHECK_OK(
            accumulator_add(&bench.accumulators[0], 0, group, group == 1 ? gradient : NULL, &error),
            error);
    }
    for (int64_t w = 0; w < 2; w++) {
        CHECK_OK(accumulator_finish(&bench.accumulators[w], &error), error);
    }
    for (int64_t i = 0; i < bench.node.element_count; i++) {
        ck_assert_int_eq(bench.node.sums[i], 0);
    }
    memory_release(gradient);
    bench_close(&bench);
}
END_TEST

START_TEST(test_accumulator_wait_ends_and_says_for_whom)
{
    struct bench_node bench;
    bench_open(&bench, 2);
    struct error error;
    bench.accumulators[0].limit_seconds = 0.01;
    accumulator_final(&bench.accumulators[0], 0);
    CHECK_FAILS(accumulator_finish(&bench.accumulators[0], &error), STATUS_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(error.message, "1 of 2 workers"));
    bench_close(&bench);
}
END_TEST

/* Overlap: the sum of a group begins as soon as the node's last slot has handed it over, while
 * lower groups are still in backward; and not before every worker knows its last slot. */
START_TEST(test_accumulator_begins_a_groups_sum_while_lower_groups_are_in_backward)
{
    struct bench_node bench;
    bench_open(&bench, 2);
    struct error error;
    const int64_t head = bench.table.group_count - 1;
    float *const gradient =
        memory_take((size_t)bench.table.element_count, sizeof *gradient, "test");
    CHECK_OK(accumulator_add(&bench.accumulators[0], 0, head, gradient, &error), error);
    CHECK_OK(accumulator_add(&bench.accumulators[1], 1, head, gradient, &error), error);
    accumulator_final(&bench.accumulators[0], 1);
    CHECK_OK(accumulator_poll(&bench.accumulators[0], &error), error);
    ck_assert_int_eq(bench.accumulators[0].begun.number, 0); /* worker 1 may get more slots */
    accumulator_final(&bench.accumulators[1], 1);
    CHECK_OK(accumulator_poll(&bench.accumulators[0], &error), error);
    ck_assert_int_eq(bench.accumulators[0].begun.number, 1);
    CHECK_OK(accumulator_add(&bench.accumulators[0], 0, head - 1, gradient, &error), error);
    CHECK_OK(accumulator_poll(&bench.accumulators[0], &error), error);
    ck_assert_int_eq(bench.accumulators[0].begun.number, 1); /* slot 1 has not come so far */
    CHECK_OK(accumulator_add(&bench.accumulators[1], 1, head - 1, gradient, &error), error);
    CHECK_OK(accumulator_poll(&bench.accumulators[0], &error), error);
    ck_assert_int_eq(bench.accumulators[0].begun.number, 2);
    memory_release(gradient);
    bench_close(&bench);
}
END_TEST

START_TEST(test_accumulator_loss_scale_is_the_power_of_two_that_covers_the_targets)
{
    ck_assert_double_eq(accumulator_loss_scale(1), 1.0);
    ck_assert_double_eq(accumulator_loss_scale(1024), 1.0 / 1024);
    ck_assert_double_eq(accumulator_loss_scale(1025), 1.0 / 2048);
}
END_TEST

int main(void)
{
    return suite_run(
        "accumulator",
        (const TTest *[]){test_accumulator_gives_the_same_bits_for_any_workers_and_order,
                          test_accumulator_check_would_notice_a_float_sum,
                          test_accumulator_pieces_of_a_gradient_add_up_to_the_whole,
                          test_accumulator_notes_the_lowest_slot_that_is_not_finite,
                          test_accumulator_counts_as_zero_what_no_slot_has_written,
                          test_accumulator_wait_ends_and_says_for_whom,
                          test_accumulator_begins_a_groups_sum_while_lower_groups_are_in_backward,
                          test_accumulator_loss_scale_is_the_power_of_two_that_covers_the_targets,
                          NULL});
}
