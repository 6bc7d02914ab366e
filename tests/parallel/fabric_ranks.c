/* shard/fabric, topology and window over real ranks: run as `mpirun -n 5 fabric_ranks`. Check must
 * not fork after MPI has begun, so the suite runs in one process a rank; a rank that fails ends the
 * job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "shard/tensor_group.h"
#include "shard/topology.h"
#include "shard/window.h"
#include "tests/support/suite.h"

static struct fabric *fabric;

START_TEST(test_fabric_agree_makes_the_lowest_failure_everybodys)
{
    struct fabric_group *const world = fabric_world(fabric);
    struct error error = {0};
    CHECK_OK(fabric_agree(world, STATUS_OK, &error), error);
    enum status own = STATUS_OK;
    if (fabric_rank(world) >= 1) {
        own = error_set(&error, STATUS_IO, "rank %d is unwell", (int)fabric_rank(world));
    }
    const enum status agreed = fabric_agree(world, own, &error);
    const bool alone = fabric_count(world) == 1;
    ck_assert_int_eq(agreed, alone ? STATUS_OK : STATUS_IO);
    ck_assert(alone || strcmp(error.message, "rank 1 is unwell") == 0);
}
END_TEST

START_TEST(test_fabric_sums_integers_and_finds_the_least)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    struct error error;
    int64_t values[3] = {rank, INT64_C(1) << 55, -rank};
    CHECK_OK(fabric_sum(world, values, 3, &error), error);
    ck_assert_int_eq(values[0], count * (count - 1) / 2);
    ck_assert_int_eq(values[1], count * (INT64_C(1) << 55));
    ck_assert_int_eq(values[2], -values[0]);
    int64_t least = 100 - rank;
    CHECK_OK(fabric_least(world, &least, 1, &error), error);
    ck_assert_int_eq(least, 100 - (count - 1));
}
END_TEST

/* Uneven ranges: rank r has r + 1 elements, rank 2 has none. */
static int64_t *uneven_firsts(int64_t count)
{
    int64_t *const firsts = memory_take((size_t)count + 1, sizeof *firsts, "test");
    for (int64_t r = 0; r < count; r++) {
        firsts[r + 1] = firsts[r] + (r == 2 ? 0 : r + 1);
    }
    return firsts;
}

START_TEST(test_fabric_scatters_sums_over_uneven_ranges)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    int64_t *const firsts = uneven_firsts(count);
    const int64_t total = firsts[count];
    int64_t *const values = memory_take((size_t)total, sizeof *values, "test");
    for (int64_t i = 0; i < total; i++) {
        values[i] = i * 10 + rank;
    }
    struct error error;
    struct fabric_request request = {0};
    CHECK_OK(fabric_sum_scatter_begin(world, values, firsts, &request, &error), error);
    CHECK_OK(fabric_wait(&request, "test", &error), error);
    ck_assert(!request.active);
    for (int64_t i = firsts[rank]; i < firsts[rank + 1]; i++) {
        ck_assert_int_eq(values[i], count * i * 10 + count * (count - 1) / 2);
    }
    bool done = false;
    CHECK_OK(fabric_test(&request, &done, &error), error);
    ck_assert(done);
    memory_release(values);
    memory_release(firsts);
}
END_TEST

START_TEST(test_fabric_gathers_uneven_ranges_everywhere_and_at_the_root)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    int64_t *const firsts = uneven_firsts(count);
    const int64_t total = firsts[count];
    float *const values = memory_take((size_t)total, sizeof *values, "test");
    for (int64_t i = firsts[rank]; i < firsts[rank + 1]; i++) {
        values[i] = (float)(i + 1);
    }
    struct error error;
    CHECK_OK(fabric_gather_ranges(world, values, firsts, &error), error);
    float *const all = memory_take((size_t)total, sizeof *all, "test");
    CHECK_OK(fabric_collect_ranges(world, count - 1, values + firsts[rank], all, firsts, &error),
             error);
    for (int64_t i = 0; i < total; i++) {
        ck_assert(values[i] == (float)(i + 1));
        ck_assert(rank != count - 1 || all[i] == values[i]);
    }
    memory_release(all);
    memory_release(values);
    memory_release(firsts);
}
END_TEST

START_TEST(test_topology_numbers_simulated_nodes_and_makes_slices)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t count = fabric_count(world);
    const int64_t nodes = count >= 2 ? 2 : 1;
    struct error error;
    struct topology topology;
    CHECK_OK(topology_init(&topology, world, nodes, &error), error);
    ck_assert_int_eq(topology.node_count, nodes);
    ck_assert_int_eq(topology.driver_count, count / nodes);
    ck_assert_int_eq(topology_is_driver(&topology), topology.local_index < topology.driver_count);
    ck_assert_int_eq(topology.slice != NULL, topology_is_driver(&topology));
    if (topology.slice != NULL) {
        ck_assert_int_eq(fabric_count(topology.slice), nodes);
        ck_assert_int_eq(fabric_rank(topology.slice), topology.node_index);
    }
    CHECK_FAILS(topology_init(&topology, world, count + 1, &error), STATUS_INPUT);
}
END_TEST

/* Each rank sends to the next two messages that differ in their tags, the later one received first,
 * and expects more than comes. */
START_TEST(test_fabric_sends_between_two_ranks_by_tag)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    const int64_t next = (rank + 1) % count;
    const int64_t before = (rank + count - 1) % count;
    const float sent[2][3] = {{(float)rank, 1, 2}, {(float)rank + 0.5F, 3, 4}};
    float received[2][4] = {{-1, -1, -1, -1}, {-1, -1, -1, -1}};
    struct fabric_request requests[4] = {{.active = false}};
    struct error error;
    for (int tag = 0; tag < 2; tag++) {
        CHECK_OK(fabric_send_begin(world, next, tag, sent[tag], 3, &requests[tag], &error), error);
    }
    for (int tag = 1; tag >= 0; tag--) {
        CHECK_OK(
            fabric_receive_begin(world, before, tag, received[tag], 4, &requests[2 + tag], &error),
            error);
        CHECK_OK(fabric_wait(&requests[2 + tag], "message", &error), error);
    }
    for (int tag = 0; tag < 2; tag++) {
        CHECK_OK(fabric_wait(&requests[tag], "message", &error), error);
        ck_assert(received[tag][0] == (float)before + 0.5F * (float)tag);
        ck_assert(received[tag][2] == (float)(2 + 2 * tag) && received[tag][3] == -1.0F);
    }
}
END_TEST

struct signals {
    struct fabric_group *group;
    int64_t count;
    int64_t from;
    int tag;
};

static enum status signals_take(void *context, struct error *error)
{
    struct signals *const signals = context;
    bool found;
    TRY(fabric_signal_take(signals->group, &signals->from, &signals->tag, &found, error));
    signals->count += found ? 1 : 0;
    return STATUS_OK;
}

/* The first rank comes to the barrier only when it has its own; the others take theirs in it. */
START_TEST(test_fabric_does_its_duty_while_it_waits)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    struct error error;
    struct signals signals = {.count = 0};
    CHECK_OK(fabric_split(world, 0, rank, "signals", &signals.group, &error), error);
    fabric_duty_set(fabric, (struct fabric_duty){signals_take, &signals});
    struct fabric_request request = {.active = false};
    CHECK_OK(fabric_send_begin(signals.group, (rank + 1) % count, (int)(7 + rank), NULL, 0,
                               &request, &error),
             error);
    while (rank == 0 && signals.count == 0) {
        CHECK_OK(fabric_poll(world, &error), error);
    }
    CHECK_OK(fabric_wait(&request, "signal", &error), error);
    CHECK_OK(fabric_barrier(world, &error), error);
    while (signals.count == 0) {
        CHECK_OK(fabric_poll(world, &error), error);
    }
    fabric_duty_set(fabric, (struct fabric_duty){0});
    const int64_t before = (rank + count - 1) % count;
    ck_assert_int_eq(signals.count, 1);
    ck_assert_int_eq(signals.from, before);
    ck_assert_int_eq(signals.tag, 7 + before);
}
END_TEST

START_TEST(test_topology_makes_teams_of_neighbours)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t count = fabric_count(world);
    struct error error;
    struct topology topology;
    CHECK_OK(topology_init(&topology, world, 0, &error), error);
    CHECK_OK(topology_team(&topology, 1, 1, &error), error);
    ck_assert_int_eq(topology.team_index, fabric_rank(world));
    ck_assert_int_eq(topology.team_count, count);
    CHECK_OK(topology_team(&topology, count, 1, &error), error);
    ck_assert_int_eq(topology.team_count, 1);
    ck_assert_int_eq(topology.section_index, fabric_rank(world));
    ck_assert(count == 1 || fabric_count(topology.pipeline) == count);
    CHECK_FAILS(topology_team(&topology, count + 1, 1, &error), STATUS_INPUT);
}
END_TEST

/* Sums of four or two members, whose order shows in the last bit, and gathers, both longer than
 * what goes at once. `apart`: as if each member were a node. */
static void check_tensor_group(struct fabric_group *some, int64_t count, bool apart)
{
    enum { LONG = 263000 };
    static const float values[] = {1.0F, 0x1p-24F, 0x1p-24F, 0x1p-24F};
    const int64_t rank = fabric_rank(some);
    struct error error = {0};
    const struct topology topology = {.worker_index = rank,
                                      .tensor_member = rank,
                                      .tensor_count = count,
                                      .tensor = some,
                                      .node_index = apart ? rank : 0};
    const float tree =
        count == 4 ? (values[0] + values[1]) + (values[2] + values[3]) : values[0] + values[1];
    struct tensor_group tensor;
    CHECK_OK(tensor_group_init(&tensor, &topology, 60, &error), error);
    ck_assert((tensor.window.data == NULL) == apart);
    float *const sums = memory_take(LONG, sizeof *sums, "test");
    int32_t *const all = memory_take((size_t)count * LONG, sizeof *all, "test");
    for (int64_t turn = 0; turn < (apart ? 1 : 2); turn++) {
        for (int64_t i = 0; i < LONG; i++) {
            sums[i] = values[rank] * (float)(1 + i % 8);
            all[rank * LONG + i] = (int32_t)(1000 * turn + 10 * rank + i % 7);
        }
        tensor_group_sum(&tensor, sums, LONG);
        tensor_group_gather(&tensor, all, LONG * sizeof *all);
        CHECK_OK(tensor_group_check(&tensor, &error), error);
        for (int64_t i = 0; i < LONG; i += 8) {
            ck_assert(sums[i] == tree);
        }
        for (int64_t i = 0; i < count * LONG; i++) {
            ck_assert_int_eq(all[i], 1000 * turn + 10 * (i / LONG) + i % LONG % 7);
        }
    }
    memory_release(all);
    memory_release(sums);
    tensor_group_deinit(&tensor);
}

START_TEST(test_tensor_group_adds_in_a_tree_and_gathers)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t count = fabric_count(world) >= 4 ? 4 : 2;
    const int64_t rank = fabric_rank(world);
    struct error error = {0};
    struct fabric_group *some = NULL;
    CHECK_OK(fabric_split(world, rank < count ? 0 : -1, rank, "some", &some, &error), error);
    if (some != NULL && fabric_count(world) >= 2) {
        check_tensor_group(some, count, false);
        check_tensor_group(some, count, true);
    }
}
END_TEST

START_TEST(test_window_is_shared_and_its_barrier_holds_and_gives_up)
{
    struct fabric_group *const world = fabric_world(fabric);
    const int64_t rank = fabric_rank(world);
    const int64_t count = fabric_count(world);
    struct error error;
    struct fabric_group *node;
    CHECK_OK(fabric_split_hosts(world, "node", &node, &error), error);
    ck_assert_int_eq(fabric_count(node), count);
    struct window window;
    CHECK_OK(window_open(&window, node, 1 << 16, "test", &error), error);
    struct window_barrier *const barrier = (struct window_barrier *)(void *)window.data;
    volatile int64_t *const places = (volatile int64_t *)(void *)(window.data + 4096);
    for (int64_t round = 1; round <= 200; round++) {
        places[rank] = round;
        CHECK_OK(window_barrier_wait(barrier, count, 60, "test", &error), error);
        for (int64_t i = 0; i < count; i++) {
            ck_assert_int_eq(places[i], round);
        }
        CHECK_OK(window_barrier_wait(barrier, count, 60, "test", &error), error);
    }
    if (rank == 0) { /* one more than there are: it must end, and say how many came */
        CHECK_FAILS(window_barrier_wait(barrier, count + 1, 0.01, "nobody", &error),
                    STATUS_TIMEOUT);
        ck_assert_ptr_nonnull(strstr(error.message, "\"nobody\": 1 of"));
    }
    CHECK_OK(fabric_barrier(world, &error), error);
    window_close(&window);
}
END_TEST

/* Whether the system has large pages for it or not. */
START_TEST(test_window_takes_and_gives_back_pages_of_any_size)
{
    enum { SIZE = 9 << 20, FIRST = 3 << 20, COUNT = 1 << 20, LARGE = 2 << 20 };
    struct fabric_group *const world = fabric_world(fabric);
    struct error error;
    struct fabric_group *node;
    struct window window;
    CHECK_OK(fabric_split_hosts(world, "node", &node, &error), error);
    CHECK_OK(window_open(&window, node, SIZE, "test", &error), error);
    ck_assert_uint_eq((uintptr_t)window.data % LARGE, 0);
    if (fabric_rank(node) == 0) {
        window.large = true;
        CHECK_OK(window_reserve(&window, 5, SIZE - 5, "test", &error), error);
        ck_assert_int_eq(window_taken_bytes(&window), SIZE);
        for (int64_t i = 0; i < SIZE; i++) {
            ck_assert_int_eq(window.data[i], 0);
            window.data[i] = (unsigned char)(i % 251 + 1);
        }
        CHECK_OK(window_vacate(&window, FIRST, COUNT, &error), error);
        ck_assert_int_eq(window_taken_bytes(&window), SIZE - COUNT);
    }
    CHECK_OK(fabric_barrier(world, &error), error);
    for (int64_t i = 0; i < SIZE; i++) {
        const bool gone = i >= FIRST && i < FIRST + COUNT;
        ck_assert_int_eq(window.data[i], gone ? 0 : (unsigned char)(i % 251 + 1));
    }
    CHECK_OK(fabric_barrier(world, &error), error);
    window_close(&window);
}
END_TEST

int main(void)
{
    struct error error;
    if (setenv("CK_FORK", "no", 1) != 0 || fabric_open(&fabric, &error) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return EXIT_FAILURE;
    }
    fabric_limit_set(fabric, 60);
    const int failed = suite_run(
        "fabric", (const TTest *[]){test_fabric_agree_makes_the_lowest_failure_everybodys,
                                    test_fabric_sums_integers_and_finds_the_least,
                                    test_fabric_scatters_sums_over_uneven_ranges,
                                    test_fabric_gathers_uneven_ranges_everywhere_and_at_the_root,
                                    test_topology_numbers_simulated_nodes_and_makes_slices,
                                    test_fabric_sends_between_two_ranks_by_tag,
                                    test_fabric_does_its_duty_while_it_waits,
                                    test_topology_makes_teams_of_neighbours,
                                    test_tensor_group_adds_in_a_tree_and_gathers,
                                    test_window_is_shared_and_its_barrier_holds_and_gives_up,
                                    test_window_takes_and_gives_back_pages_of_any_size, NULL});
    if (failed != 0) {
        fabric_abort(fabric, EXIT_FAILURE);
    }
    fabric_close(fabric);
    return EXIT_SUCCESS;
}
