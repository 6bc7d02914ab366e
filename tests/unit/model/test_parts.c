/* Tensor partitions: products in parts are still the network (slopes), close to the one that is not
 * cut, and the same bits on however many members; here these are threads. */
#include <pthread.h>

#include "tests/unit/model/model_bench.h"

enum { MEMBERS_MAX = 4 };

static const enum model_family families[] = {MODEL_FAMILY_ROBERTA, MODEL_FAMILY_BERT,
                                             MODEL_FAMILY_ALBERT, MODEL_FAMILY_SPANBERT,
                                             MODEL_FAMILY_GPT};

/* As the other tests' tiny ones, but with widths that can be cut. */
static struct model_options options_of(int64_t index, double dropout)
{
    struct model_options options = families[index] == MODEL_FAMILY_ROBERTA
                                       ? options_tiny(MODEL_NORM_POST, dropout)
                                       : family_tiny(families[index], dropout);
    options.hidden = 20;
    options.heads = 4;
    options.feed_forward = 24;
    return options;
}

START_TEST(test_gradients_in_parts_are_slopes)
{
    const struct model_options options = options_of(_i, 0.0);
    struct batch batch = batch_tiny();
    const struct model_role role = {.trains = true, .tensor_parts = 4};
    check_gradients_role(&options, &role, &batch);
    batch_deinit(&batch);
}
END_TEST

/* What the members of a group share. */
struct circle {
    pthread_barrier_t barrier;
    int64_t count;
    void *places[MEMBERS_MAX]; /* what each offers */
};

struct member {
    struct circle *circle;
    int64_t index;
    struct bench bench;
    struct model_result trained;
    struct model_result evaluated;
    const struct batch *batch;
};

static void circle_offer(const struct member *member, void *data)
{
    member->circle->places[member->index] = data;
    (void)pthread_barrier_wait(&member->circle->barrier);
}

static void circle_sum(void *context, float *values, int64_t count)
{
    const struct member *const member = context;
    float *const whole = memory_take((size_t)count, sizeof *whole, "test");
    circle_offer(member, values);
    for (int64_t i = 0; i < count; i++) {
        float sums[MEMBERS_MAX] = {0};
        for (int64_t m = 0; m < member->circle->count; m++) {
            sums[m] = ((const float *)member->circle->places[m])[i];
        }
        for (int64_t width = 1; width < member->circle->count; width *= 2) {
            for (int64_t m = 0; m < member->circle->count; m += 2 * width) {
                sums[m] += sums[m + width];
            }
        }
        whole[i] = sums[0];
    }
    (void)pthread_barrier_wait(&member->circle->barrier);
    memcpy(values, whole, (size_t)count * sizeof *values);
    memory_release(whole);
}

static void circle_gather(void *context, void *all, size_t size_bytes)
{
    const struct member *const member = context;
    circle_offer(member, all);
    for (int64_t m = 0; m < member->circle->count; m++) {
        const size_t place = (size_t)m * size_bytes;
        if (m != member->index) {
            memcpy((unsigned char *)all + place,
                   (const unsigned char *)member->circle->places[m] + place, size_bytes);
        }
    }
    (void)pthread_barrier_wait(&member->circle->barrier);
}

static enum status circle_check(void *context, struct error *error)
{
    (void)context;
    (void)error;
    return STATUS_OK;
}

static void *member_run(void *context)
{
    struct member *const member = context;
    struct error error = {0};
    member->trained = bench_train(&member->bench, member->batch);
    CHECK_OK(model_evaluate(member->bench.model, member->bench.weights, member->batch,
                            &member->evaluated, &error),
             error);
    return NULL;
}

/* Trains on `count` members; their gradients together are left in the first one's bench. */
static void circle_run(struct member *members, int64_t count, const struct model_options *options,
                       int64_t v, const struct batch *batch)
{
    struct circle circle = {.count = count};
    struct parts_exchange exchanges[MEMBERS_MAX];
    pthread_t threads[MEMBERS_MAX];
    (void)pthread_barrier_init(&circle.barrier, NULL, (unsigned)count);
    for (int64_t m = 0; m < count; m++) {
        members[m] = (struct member){.circle = &circle, .index = m, .batch = batch};
        exchanges[m] =
            (struct parts_exchange){circle_sum, circle_gather, circle_check, &members[m]};
        const struct model_role role = {.trains = true,
                                        .tensor_parts = v,
                                        .tensor_member = m,
                                        .tensor_count = count,
                                        .exchange = &exchanges[m]};
        bench_open_role(&members[m].bench, kernels_level_best(), options, &limits_tiny, &role);
    }
    for (int64_t m = 0; m < count; m++) {
        ck_assert_int_eq(pthread_create(&threads[m], NULL, member_run, &members[m]), 0);
    }
    for (int64_t m = 0; m < count; m++) {
        (void)pthread_join(threads[m], NULL);
    }
    for (int64_t m = 1; m < count; m++) {
        ck_assert(members[m].trained.loss_sum == members[0].trained.loss_sum);
        for (int64_t i = 0; i < members[0].bench.table->element_count; i++) {
            float *const sum = &members[0].bench.gradient[i];
            const float value = members[m].bench.gradient[i];
            CHECK_EACH(*sum == 0.0F || value == 0.0F); /* handed over by one of them */
            *sum = value != 0.0F ? value : *sum;
        }
    }
    (void)pthread_barrier_destroy(&circle.barrier);
}

static void members_close(struct member *members, int64_t count)
{
    for (int64_t m = 0; m < count; m++) {
        bench_close(&members[m].bench);
    }
}

static void results_check(const struct member *one, const struct member *other)
{
    const int64_t count = one->bench.table->element_count;
    for (int64_t i = 0; i < count; i++) {
        ck_assert_msg(one->bench.gradient[i] == other->bench.gradient[i],
                      "element %lld: %.9g on one member, %.9g on %lld", (long long)i,
                      (double)one->bench.gradient[i], (double)other->bench.gradient[i],
                      (long long)other->circle->count);
    }
    ck_assert(one->trained.loss_sum == other->trained.loss_sum);
    ck_assert(one->trained.span_loss_sum == other->trained.span_loss_sum);
    ck_assert(one->trained.sequence_loss_sum == other->trained.sequence_loss_sum);
    ck_assert(one->evaluated.loss_sum == other->evaluated.loss_sum);
    ck_assert_int_eq(one->trained.correct_count, other->trained.correct_count);
    ck_assert_int_eq(one->evaluated.correct_count, other->evaluated.correct_count);
}

START_TEST(test_parts_have_the_same_bits_on_any_number_of_members)
{
    const struct model_options options = options_of(_i, 0.1);
    struct batch batch = batch_tiny();
    for (int64_t v = 2; v <= 4; v *= 2) {
        struct member one[MEMBERS_MAX];
        circle_run(one, 1, &options, v, &batch);
        for (int64_t t = 2; t <= v; t *= 2) {
            struct member many[MEMBERS_MAX];
            circle_run(many, t, &options, v, &batch);
            results_check(&one[0], &many[0]);
            members_close(many, t);
        }
        members_close(one, 1);
    }
    batch_deinit(&batch);
}
END_TEST

START_TEST(test_parts_are_close_to_the_whole)
{
    const struct model_options options = options_of(_i, 0.1);
    struct batch batch = batch_tiny();
    struct bench whole;
    bench_open(&whole, kernels_level_best(), &options, &limits_tiny);
    const struct model_result expected = bench_train(&whole, &batch);
    for (int64_t v = 2; v <= 4; v *= 2) {
        const struct model_role role = {.trains = true, .tensor_parts = v};
        struct bench bench;
        bench_open_role(&bench, kernels_level_best(), &options, &limits_tiny, &role);
        const struct model_result result = bench_train(&bench, &batch);
        ck_assert_double_eq_tol(result.loss_sum, expected.loss_sum, 1e-6 * expected.loss_sum);
        double square = 0;
        double difference = 0;
        for (int64_t i = 0; i < whole.table->element_count; i++) {
            const double value = (double)whole.gradient[i];
            const double off = (double)bench.gradient[i] - value;
            square += value * value;
            difference += off * off;
        }
        /* rounding of the same terms in another order, through two layers */
        ck_assert(difference > 0 && sqrt(difference / square) < 4e-6);
        bench_close(&bench);
    }
    batch_deinit(&batch);
    bench_close(&whole);
}
END_TEST

/* Elements of tensors that all members have. */
static int64_t whole_elements(const struct parameter_table *table, int64_t group)
{
    const struct parameter_group *const owner = &table->groups[group];
    const struct parts two = parts_make(2, 1, 2, NULL);
    int64_t count = 0;
    for (int64_t i = 0; i < owner->row_count; i++) {
        const struct parameter *const row = &table->rows[owner->first_row + i];
        count += gradient_tensor_of(table, &two, row).count == row->count ? row->count : 0;
    }
    return count;
}

START_TEST(test_each_element_is_formed_in_one_members_memory)
{
    struct error error = {0};
    const struct model_options options = options_of(_i, 0.0);
    struct parameter_table table;
    CHECK_OK(parameter_table_init(&table, &options, &error), error);
    for (int64_t group = 0; group < table.group_count; group++) {
        const struct parameter_group *const owner = &table.groups[group];
        char *const covered = memory_take((size_t)owner->count, 1, "test");
        int64_t tensors = 0;
        int64_t held = 0;
        for (int64_t i = 0; i < owner->row_count; i++) {
            tensors += table.rows[owner->first_row + i].count;
        }
        for (int64_t m = 0; m < MEMBERS_MAX; m++) {
            struct gradient_block blocks[64];
            const struct parts parts = parts_make(MEMBERS_MAX, m, MEMBERS_MAX, NULL);
            const int64_t elements = gradient_blocks_elements(&table, &parts, group);
            const int64_t count = gradient_blocks_list(&table, &parts, group, blocks);
            ck_assert_int_le(count, ARRAY_LENGTH(blocks));
            for (int64_t b = 0; b < count; b++) {
                const struct gradient_block *const block = &blocks[b];
                for (int64_t i = 0; i < block->rows * block->width; i++) {
                    const int64_t row = i / block->width;
                    const int64_t column = i % block->width;
                    CHECK_EACH(block->local + row * block->local_stride + column < elements);
                    covered[block->first + row * block->stride + column]++;
                }
            }
            held += elements;
        }
        int64_t once = 0;
        for (int64_t i = 0; i < owner->count; i++) {
            CHECK_EACH(covered[i] <= 1);
            once += covered[i];
        }
        ck_assert_int_eq(once, tensors);
        /* what is not cut is held by all, and no tensor's beginning takes more than its alignment
         */
        const int64_t most = tensors + (MEMBERS_MAX - 1) * whole_elements(&table, group) +
                             MEMBERS_MAX * owner->row_count * PARAMETER_ALIGNMENT;
        ck_assert_int_le(held, most);
        memory_release(covered);
    }
    parameter_table_deinit(&table);
}
END_TEST

static void check_refusal(const struct model_options *options, int64_t v, const char *why)
{
    struct error error = {0};
    const struct model_role role = {.tensor_parts = v};
    ck_assert_int_eq(model_role_check(options, &role, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "numerics.tensor_parts"));
    ck_assert_msg(strstr(error.message, why) != NULL, "%s", error.message);
}

START_TEST(test_parts_that_do_not_fit_are_refused_by_name)
{
    struct model_options options = options_of(0, 0.0);
    check_refusal(&options, 3, "power of two");
    check_refusal(&options, 128, "power of two");
    check_refusal(&options, 8, "4 heads");
    options.vocabulary = 3;
    check_refusal(&options, 4, "vocabulary");
    options.family = MODEL_FAMILY_XLNET;
    check_refusal(&options, 2, "XLNet");
}
END_TEST

int main(void)
{
    return suite_run_loop("tensor parts",
                          (const TTest *[]){test_gradients_in_parts_are_slopes,
                                            test_parts_have_the_same_bits_on_any_number_of_members,
                                            test_parts_are_close_to_the_whole,
                                            test_each_element_is_formed_in_one_members_memory,
                                            test_parts_that_do_not_fit_are_refused_by_name, NULL},
                          ARRAY_LENGTH(families));
}
