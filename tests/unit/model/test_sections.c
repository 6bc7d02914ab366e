/* model/: a network in sections, each a model of its own that sees only what the others hand over,
 * gives the bits of the whole one in every family, with two slots in flight, and reads only weights
 * that it holds; and how layers are cut. */
#include <string.h>

#include "base/memory.h"
#include "model/activations.h"
#include "model/model.h"
#include "tests/support/suite.h"
#include "tests/unit/model/keeper.h"
#include "tests/unit/model/stream_bench.h"

enum { CASES = 11, SLOTS = 2, SECTIONS_MAX = 3 };

static struct model_options sections_case(int i)
{
    static const enum model_family families[] = {MODEL_FAMILY_BERT, MODEL_FAMILY_SPANBERT,
                                                 MODEL_FAMILY_GPT, MODEL_FAMILY_ALBERT};
    struct model_options options =
        i < 2   ? options_tiny(i == 0 ? MODEL_NORM_POST : MODEL_NORM_PRE, 0.2)
        : i < 6 ? family_tiny(families[i - 2], 0.2)
        : i < 8 ? xlnet_tiny(0.2)
                : family_tiny(MODEL_FAMILY_ALBERT, 0.2);
    options.share = i < 8    ? MODEL_SHARE_NONE
                    : i == 8 ? MODEL_SHARE_ALL
                    : i == 9 ? MODEL_SHARE_FEED_FORWARD
                             : MODEL_SHARE_ATTENTION;
    options.groups = i == 9 ? 2 : 1;
    options.inner_layers = i == 10 ? 2 : 1; /* layers 0 and 2 share, and 1 and 3 */
    options.layers = 4;
    return options;
}

/* Two different slots. */
static void slots_make(int i, struct batch *batches)
{
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        batches[slot] = i == 6 || i == 7 ? batch_chained(i == 6, true) : batch_tiny();
        batches[slot].dropout_key = random_key_make(9, RANDOM_PURPOSE_DROPOUT, (uint64_t)slot);
    }
    batches[1].ids[2] = batches[1].ids[5]; /* a token that comes twice */
}

/* What the sections together hand over of a slot. */
struct collected {
    const struct parameter_table *table;
    float *gradient; /* (elements) */
};

static enum status collected_take(void *context, int64_t group, const float *gradient,
                                  struct error *error)
{
    const struct collected *const collected = context;
    const struct parameter_group *const place = &collected->table->groups[group];
    (void)error;
    for (int64_t i = 0; i < place->count; i++) {
        float *const sum = &collected->gradient[place->offset + i];
        CHECK_EACH(*sum == 0.0F || gradient[i] == 0.0F); /* nobody adds to another's */
        *sum += gradient[i];
    }
    return STATUS_OK;
}

/* A pipeline in one process: what sections would send stands in `states`, by slot. */
struct line {
    struct kernels kernels;
    struct model *models[SECTIONS_MAX];
    int64_t count;
    float *states[SLOTS];
    int64_t counts[SLOTS]; /* elements of them */
    float *words[SLOTS];
    struct collected collected[SLOTS];
    struct model_result results[SLOTS];
};

static void line_open(struct line *line, enum kernels_level level,
                      const struct model_options *options, int64_t count,
                      enum model_recompute recompute)
{
    struct error error = {0};
    *line = (struct line){.count = count};
    CHECK_OK(kernels_open(&line->kernels, level, &error), error);
    for (int64_t s = 0; s < count; s++) {
        const struct model_role role = {
            .trains = true, .recompute = recompute, .section = s, .section_count = count};
        CHECK_OK(model_open(&line->models[s], &line->kernels, options, &limits_tiny, &role, &error),
                 error);
    }
    const struct parameter_table *const table = model_table(line->models[0]);
    const struct handover *const handover = model_handover(line->models[0]);
    const int64_t most = handover->state_size + table->element_count;
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        line->states[slot] = memory_take((size_t)most, sizeof(float), "test");
        line->words[slot] = memory_take((size_t)handover->words_size, sizeof(float), "test");
        line->collected[slot].table = table;
        line->collected[slot].gradient =
            memory_take((size_t)table->element_count, sizeof(float), "test");
    }
}

static void line_close(struct line *line)
{
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        memory_release(line->states[slot]);
        memory_release(line->words[slot]);
        memory_release(line->collected[slot].gradient);
    }
    for (int64_t s = 0; s < line->count; s++) {
        model_close(line->models[s]);
    }
}

static int64_t set_of(const struct line *line, int64_t s, int64_t slot)
{
    return slot % section_slots_in_flight(model_section(line->models[s]));
}

static void line_forward(struct line *line, int64_t s, const float *weights,
                         const struct batch *batches)
{
    struct error error = {0};
    struct model *const model = line->models[s];
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        int64_t *const count = &line->counts[slot];
        const int64_t set = set_of(line, s, slot);
        const struct handover *const handover = model_handover(model);
        if (s > 0) {
            memcpy(model_entering(model, set), line->states[slot], (size_t)*count * sizeof(float));
        }
        CHECK_OK(model_section_forward(model, set, true, weights, &batches[slot], count, &error),
                 error);
        memcpy(line->states[slot], handover->leaving, (size_t)*count * sizeof(float));
    }
}

static void line_backward(struct line *line, int64_t s, const float *weights,
                          const struct batch *batches)
{
    struct error error = {0};
    struct model *const model = line->models[s];
    const struct handover *const handover = model_handover(model);
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        int64_t *const count = &line->counts[slot];
        struct model_result result;
        const bool last = s == line->count - 1;
        const int64_t set = set_of(line, s, slot);
        const struct gradient_sink sink = {.take = collected_take,
                                           .context = &line->collected[slot]};
        ck_assert_int_le(*count, last ? handover->state_size : handover->gradient_size);
        memcpy(last ? model_entering(model, set) : handover->d_leaving, line->states[slot],
               (size_t)*count * sizeof(float));
        CHECK_OK(model_section_backward(model, set, weights, &batches[slot], 0.25F,
                                        line->words[slot], &sink, &result, count, &error),
                 error);
        if (last) {
            line->results[slot] = result;
        }
        if (s > 0) {
            memcpy(line->states[slot], handover->d_entering, (size_t)*count * sizeof(float));
        }
    }
}

static void check_line(int i, enum kernels_level level, int64_t count,
                       enum model_recompute recompute)
{
    const struct model_options options = sections_case(i);
    struct bench whole;
    struct line line;
    struct batch batches[SLOTS];
    slots_make(i, batches);
    bench_open(&whole, level, &options, &limits_tiny);
    line_open(&line, level, &options, count, recompute);
    struct keeper keeper;
    keeper_open(&keeper, whole.table, whole.weights);
    for (int64_t s = 0; s < count; s++) {
        model_gate(line.models[s], &keeper.gate);
    }
    for (int64_t s = 0; s < count - 1; s++) {
        line_forward(&line, s, keeper.weights, batches);
    }
    for (int64_t s = count - 1; s >= 0; s--) {
        line_backward(&line, s, keeper.weights, batches);
    }
    keeper_close(&keeper);
    for (int64_t slot = 0; slot < SLOTS; slot++) {
        struct error error = {0};
        struct model_result result;
        const struct gradient_sink sink = {.take = bench_take, .context = &whole};
        CHECK_OK(
            model_train(whole.model, whole.weights, &batches[slot], 0.25F, &sink, &result, &error),
            error);
        ck_assert(result.loss_sum == line.results[slot].loss_sum);
        ck_assert_int_eq(result.correct_count, line.results[slot].correct_count);
        for (int64_t e = 0; e < whole.table->element_count; e++) {
            CHECK_EACH(whole.gradient[e] == line.collected[slot].gradient[e]);
        }
        whole.group_count = 0;
        batch_deinit(&batches[slot]);
    }
    line_close(&line);
    bench_close(&whole);
}

START_TEST(test_sections_have_the_bits_of_the_whole)
{
    check_line(_i, KERNELS_LEVEL_REFERENCE, 2, MODEL_RECOMPUTE_NONE);
    check_line(_i, kernels_level_best(), 2, MODEL_RECOMPUTE_LAYER);
    check_line(_i, kernels_level_best(), 3, MODEL_RECOMPUTE_NONE);
    check_line(_i, kernels_level_best(), 3, MODEL_RECOMPUTE_ATTENTION);
}
END_TEST

START_TEST(test_sections_cover_all_layers_and_spare_the_last_for_its_heads)
{
    struct model_options options = sections_case(_i);
    const struct batch_limits limits = {64, 1024, 150};
    options.layers = 24;
    options.embedding_width = 0;
    options.hidden = 768;
    options.feed_forward = 3072;
    options.vocabulary = 50000; /* heads: 0.15 · 38 M beside 7 M of a layer: 0.8 layers */
    for (int64_t count = 1; count <= 24; count++) {
        int64_t end = 0;
        for (int64_t index = 0; index < count; index++) {
            const struct section section = section_make(&options, &limits, index, count);
            ck_assert_int_eq(section.first_layer, end);
            ck_assert_int_gt(section.end_layer, end);
            ck_assert_int_le(section.end_layer - end, 24 / count + 2);
            end = section.end_layer;
        }
        ck_assert_int_eq(end, 24);
    }
    options.vocabulary = 250000; /* four layers' work */
    const struct section last = section_make(&options, &limits, 3, 4);
    ck_assert_int_lt(last.end_layer - last.first_layer, 6);
}
END_TEST

START_TEST(test_sections_refuse_what_cannot_be_cut)
{
    struct error error = {0};
    const struct model_options options = sections_case(_i);
    const struct model_role role = {.trains = true, .section_count = 5};
    struct kernels kernels;
    int64_t bytes;
    CHECK_OK(kernels_open(&kernels, KERNELS_LEVEL_REFERENCE, &error), error);
    CHECK_OK(section_check(&options, 4, &error), error);
    CHECK_FAILS(section_check(&options, 5, &error), STATUS_INPUT);
    ck_assert_ptr_nonnull(strstr(error.message, "shard.pipeline"));
    CHECK_FAILS(model_work_bytes(&kernels, &options, &limits_tiny, &role, &bytes, &error),
                STATUS_INPUT);
}
END_TEST

/* Fewer layers, and gradients of fewer groups; the first holds as many slots as there are sections.
 */
START_TEST(test_sections_take_less_memory)
{
    struct error error = {0};
    struct model_options options = sections_case(_i);
    const struct batch_limits limits = {64, 1024, 150};
    struct kernels kernels;
    int64_t bytes[3];
    options.layers = 12;
    CHECK_OK(kernels_open(&kernels, kernels_level_best(), &error), error);
    for (int64_t i = 0; i < 3; i++) {
        const struct model_role role = {.trains = true,
                                        .recompute = MODEL_RECOMPUTE_NONE,
                                        .section = i == 0 ? 0 : i - 1,
                                        .section_count = i == 0 ? 1 : 2};
        CHECK_OK(model_work_bytes(&kernels, &options, &limits, &role, &bytes[i], &error), error);
    }
    ck_assert_int_lt(bytes[2], bytes[0] * 3 / 4);
    ck_assert_int_lt(bytes[1] + bytes[2], 2 * bytes[0]);
}
END_TEST

int main(void)
{
    return suite_run_loop(
        "sections",
        (const TTest *[]){test_sections_have_the_bits_of_the_whole,
                          test_sections_cover_all_layers_and_spare_the_last_for_its_heads,
                          test_sections_refuse_what_cannot_be_cut, test_sections_take_less_memory,
                          NULL},
        CASES);
}
