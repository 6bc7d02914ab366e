/* model/: what is not kept is computed again: the same gradients to the last bit in every family,
 * and less memory. */
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "tests/support/suite.h"
#include "tests/unit/model/stream_bench.h"

enum { CASES = 9 };

/* Every family, both places of the norm, shared layers; dropout everywhere, three layers. */
static struct model_options recompute_case(int i)
{
    static const enum model_family families[] = {MODEL_FAMILY_BERT, MODEL_FAMILY_ALBERT,
                                                 MODEL_FAMILY_SPANBERT, MODEL_FAMILY_GPT};
    struct model_options options =
        i < 2   ? options_tiny(i == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE, 0.2)
        : i < 6 ? family_tiny(families[i - 2], 0.2)
        : i < 7 ? family_tiny(MODEL_FAMILY_ALBERT, 0.2)
                : xlnet_tiny(0.2);
    options.share = i == 6 ? MODEL_SHARE_FEED_FORWARD : options.share;
    options.layers = 3;
    return options;
}

static struct batch recompute_batch(int i)
{
    return i < 7 ? batch_tiny() : batch_chained(i == 7, true);
}

static void check_same_bits(int i, enum kernels_level level, bool bf16,
                            enum model_recompute recompute)
{
    const struct model_options options = recompute_case(i);
    const struct model_role role = {.trains = true, .recompute = recompute};
    struct bench kept;
    struct bench again;
    bench_open(&kept, level, &options, &limits_tiny);
    bench_open_role(&again, level, &options, &limits_tiny, &role);
    if (bf16) {
        struct error error = {0};
        CHECK_OK(kernels_use_bf16(&kept.kernels, &error), error);
        CHECK_OK(kernels_use_bf16(&again.kernels, &error), error);
    }
    struct batch batch = recompute_batch(i);
    const double loss = bench_loss(&kept, &batch);
    batch.dropout_key.word[0] ^= 1; /* what another slot leaves behind must not matter */
    ck_assert(loss != bench_loss(&again, &batch));
    batch.dropout_key.word[0] ^= 1;
    ck_assert(loss == bench_loss(&again, &batch));
    const size_t bytes = (size_t)kept.table->element_count * sizeof *kept.gradient;
    ck_assert_mem_eq(kept.gradient, again.gradient, bytes);
    ck_assert_int_eq(kept.group_count, again.group_count);
    ck_assert_mem_eq(kept.groups, again.groups, sizeof kept.groups);
    batch_deinit(&batch);
    bench_close(&again);
    bench_close(&kept);
}

START_TEST(test_recompute_gives_the_same_bits_in_every_family)
{
    check_same_bits(_i, KERNELS_LEVEL_REFERENCE, false, MODEL_RECOMPUTE_ATTENTION);
    check_same_bits(_i, KERNELS_LEVEL_REFERENCE, false, MODEL_RECOMPUTE_LAYER);
    check_same_bits(_i, KERNELS_LEVEL_REFERENCE, true, MODEL_RECOMPUTE_ATTENTION);
    check_same_bits(_i, KERNELS_LEVEL_REFERENCE, true, MODEL_RECOMPUTE_LAYER);
    check_same_bits(_i, kernels_level_best(), false, MODEL_RECOMPUTE_ATTENTION);
    check_same_bits(_i, kernels_level_best(), false, MODEL_RECOMPUTE_LAYER);
}
END_TEST

static int64_t work_bytes(const struct model_options *options, const struct batch_limits *limits,
                          bool bf16, enum model_recompute recompute)
{
    struct error error = {0};
    struct kernels kernels;
    int64_t bytes = 0;
    const struct model_role role = {.trains = true, .recompute = recompute};
    CHECK_OK(kernels_open(&kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    if (bf16) {
        CHECK_OK(kernels_use_bf16(&kernels, &error), error);
    }
    CHECK_OK(model_work_bytes(&kernels, options, limits, &role, &bytes, &error), error);
    return bytes;
}

/* Each layer but one gives up its 4C + H or 5C + F + H floats a row, and some statistics and bits;
 * and all of them F more (half as wide in bf16), and where attention is not by distance, its
 * dropout's bits. */
START_TEST(test_recompute_memory_falls_by_what_is_not_kept)
{
    struct model_options options = recompute_case(_i);
    const struct batch_limits limits = {64, 1024, 128};
    options.layers = options.inner_layers == 0 ? 7 : options.layers;
    const int64_t rows = limits.token_count + (_i > 6 ? limits.target_count : 0);
    const int64_t row_bytes = 4 * rows * (options.layers - 1);
    const int64_t bits =
        _i > 6 ? 0 : kernels_attention_kept(limits.token_count, options.heads, options.positions);
    const int64_t always = options.layers * (4 * rows * options.feed_forward + bits);
    const int64_t attention = row_bytes * (4 * options.hidden + options.heads) + always;
    const int64_t layer =
        row_bytes * (5 * options.hidden + options.feed_forward + options.heads) + always;
    const int64_t none = work_bytes(&options, &limits, false, MODEL_RECOMPUTE_NONE);
    ck_assert_int_eq(none - work_bytes(&options, &limits, false, MODEL_RECOMPUTE_ATTENTION),
                     attention);
    ck_assert_int_eq(none - work_bytes(&options, &limits, true, MODEL_RECOMPUTE_NONE),
                     2 * options.layers * rows * options.feed_forward);
    const int64_t saved = none - work_bytes(&options, &limits, false, MODEL_RECOMPUTE_LAYER);
    ck_assert_int_ge(saved, layer);
    ck_assert_int_le(saved, layer + row_bytes * 4);
}
END_TEST

int main(void)
{
    return suite_run_loop("recompute",
                          (const TTest *[]){test_recompute_gives_the_same_bits_in_every_family,
                                            test_recompute_memory_falls_by_what_is_not_kept, NULL},
                          CASES);
}
