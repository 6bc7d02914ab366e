/* The two-phase commit: an owner is killed at every point of its update, others complete it from
 * memory, and the bits are those of an update that nobody disturbed. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "shard/commit.h"
#include "tests/support/suite.h"

enum { OWNERS = 2, STEP = 3 };

static const struct model_options small_model = {.layers = 2,
                                                 .hidden = 64,
                                                 .heads = 2,
                                                 .feed_forward = 256,
                                                 .positions = 64,
                                                 .vocabulary = 3000,
                                                 .type_vocabulary = 1,
                                                 .position_offset = 2,
                                                 .norm_epsilon = 1e-5,
                                                 .init_range = 0.02};
static const struct optimizer_options rules[] = {
    {.name = OPTIMIZER_NAME_ADAMW,
     .peak_rate = 1e-2,
     .schedule = SCHEDULE_NAME_CONSTANT,
     .total_steps = 10,
     .betas = {0.9, 0.98},
     .epsilon = 1e-6,
     .weight_decay = 0.01,
     .bias_correction = true,
     .clip_norm = 1.0},
    {.name = OPTIMIZER_NAME_LAMB,
     .peak_rate = 1e-2,
     .schedule = SCHEDULE_NAME_CONSTANT,
     .total_steps = 10,
     .betas = {0.9, 0.999},
     .epsilon = 1e-6,
     .weight_decay = 0.01,
     .clip_norm = 1.0},
};

static const struct optimizer_step scene_step = {.step = STEP, .loss_scale = 0.25, .targets = 17};

/* One node in memory that a child process shares, ready to update at STEP. */
struct scene {
    struct kernels kernels;
    struct parameter_table table;
    struct node_state node;
    struct partition partitions[OWNERS];
    struct optimizer optimizers[OWNERS];
};

static void scene_open(struct scene *scene, const struct optimizer_options *options)
{
    struct error error;
    memset(scene, 0, sizeof *scene);
    CHECK_OK(kernels_open(&scene->kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(parameter_table_init(&scene->table, &small_model, &error), error);
    struct node_state *const node = &scene->node;
    node->window.size_bytes = (size_t)node_state_bytes(&scene->table, OWNERS);
    node->window.data = mmap(NULL, node->window.size_bytes, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(node->window.data, MAP_FAILED);
    node_state_place(node, &scene->table, OWNERS);
    for (int64_t i = 0; i < node->element_count; i++) {
        node->weights[i] = (float)(i % 97) * 0.01F - 0.3F;
        node->second[i] = 0.5F;
        node->sums[i] = (i % 1013 - 500) * (INT64_C(1) << 40);
    }
    for (int64_t i = 0; i < OWNERS; i++) {
        const struct topology topology = {
            .node_count = 1, .driver_count = OWNERS, .local_index = i};
        partition_init(&scene->partitions[i], &scene->table, &topology, 1);
        optimizer_init(&scene->optimizers[i], &scene->kernels, options, &scene->partitions[i]);
        optimizer_norms(&scene->optimizers[i], node);
    }
    for (int64_t i = 0; i < OWNERS && optimizer_adapts(&scene->optimizers[i]); i++) {
        struct optimizer_step step = scene_step;
        optimizer_begin(&scene->optimizers[i], node, &step);
        optimizer_piece_norms(&scene->optimizers[i], node);
    }
    node_state_digests(node, (struct partition_range){0, node->element_count});
}

static void scene_close(struct scene *scene)
{
    for (int64_t i = 0; i < OWNERS; i++) {
        optimizer_deinit(&scene->optimizers[i]);
        partition_deinit(&scene->partitions[i]);
    }
    (void)munmap(scene->node.window.data, scene->node.window.size_bytes);
    parameter_table_deinit(&scene->table);
}

static void owner_update(struct scene *scene, int64_t owner, const struct fault *fault)
{
    struct optimizer_step step = scene_step;
    optimizer_begin(&scene->optimizers[owner], &scene->node, &step);
    commit_update(&scene->optimizers[owner], &scene->node, STEP, fault);
}

static struct digest scene_fingerprint(const struct scene *scene)
{
    return fingerprint_combine(scene->node.digests, scene->node.block_count, STEP);
}

static struct digest undisturbed(const struct optimizer_options *options)
{
    struct scene scene;
    scene_open(&scene, options);
    for (int64_t i = 0; i < OWNERS; i++) {
        owner_update(&scene, i, NULL);
    }
    const struct digest fingerprint = scene_fingerprint(&scene);
    scene_close(&scene);
    return fingerprint;
}

/* As recall_take does it for a job that broke. */
static void owner_recover(struct scene *scene, int64_t owner)
{
    struct error error;
    commit_mend(&scene->node, &scene->partitions[owner], STEP);
    CHECK_OK(commit_check(&scene->node, &scene->partitions[owner], &error), error);
    owner_update(scene, owner, NULL);
}

/* Has a child update as owner 1 until the fault kills it. */
static void owner_kill(struct scene *scene, enum fault_point point)
{
    const struct fault fault = {.point = point, .step = STEP, .worker = 1};
    const pid_t child = fork();
    if (child == 0) {
        owner_update(scene, 1, &fault);
        _exit(0);
    }
    int state = 0;
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert(WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL);
}

START_TEST(test_commit_completes_an_update_killed_at_any_point_with_the_same_bits)
{
    const struct optimizer_options *const options = &rules[_i];
    const struct digest expected = undisturbed(options);
    static const enum fault_point points[] = {FAULT_POINT_UPDATE_SAVED, FAULT_POINT_UPDATE_TORN,
                                              FAULT_POINT_UPDATE_APPLIED,
                                              FAULT_POINT_UPDATE_COUNTED};
    for (int64_t i = 0; i < ARRAY_LENGTH(points); i++) {
        struct scene scene;
        scene_open(&scene, options);
        owner_update(&scene, 0, NULL);
        owner_kill(&scene, points[i]);
        commit_mend(&scene.node, &scene.partitions[1], STEP);
        owner_kill(&scene, points[i]); /* while it recovers, too */
        owner_recover(&scene, 1);      /* by whoever comes first */
        owner_recover(&scene, 0);
        ck_assert(digest_equal(scene_fingerprint(&scene), expected));
        struct error error;
        CHECK_OK(commit_check(&scene.node, &scene.partitions[0], &error), error);
        CHECK_OK(commit_check(&scene.node, &scene.partitions[1], &error), error);
        scene_close(&scene);
    }
}
END_TEST

START_TEST(test_commit_check_finds_a_flipped_bit_in_each_array)
{
    struct scene scene;
    scene_open(&scene, &rules[_i]);
    float *const arrays[] = {scene.node.weights, scene.node.first, scene.node.second};
    for (int64_t i = 0; i < ARRAY_LENGTH(arrays); i++) {
        struct error error;
        const int64_t place = scene.partitions[1].owned[0].first + 5;
        uint32_t bits;
        memcpy(&bits, arrays[i] + place, sizeof bits);
        bits ^= 1U << (7 * i);
        memcpy(arrays[i] + place, &bits, sizeof bits);
        CHECK_OK(commit_check(&scene.node, &scene.partitions[0], &error), error);
        CHECK_FAILS(commit_check(&scene.node, &scene.partitions[1], &error), STATUS_FORMAT);
        bits ^= 1U << (7 * i);
        memcpy(arrays[i] + place, &bits, sizeof bits);
        CHECK_OK(commit_check(&scene.node, &scene.partitions[1], &error), error);
    }
    scene_close(&scene);
}
END_TEST

/* Each test runs with each optimizer. */
int main(void)
{
    return suite_run_loop(
        "commit",
        (const TTest *[]){test_commit_completes_an_update_killed_at_any_point_with_the_same_bits,
                          test_commit_check_finds_a_flipped_bit_in_each_array, NULL},
        ARRAY_LENGTH(rules));
}
