/* See generate.h. */
#include "tasks/generate.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/attention_cache.h"

struct generation {
    struct model *model;
    const float *weights;
    const struct generate_options *options;
    struct attention_cache cache;
    struct batch batch;
    struct token_filter filter;
    int32_t *ids; /* (positions) prompt and what followed */
    int64_t count;
    float *logits; /* (V) */
};

static void generation_init(struct generation *generation, const struct kernels *kernels,
                            const struct model_options *options)
{
    const struct batch_limits limits = {1, options->positions, 1};
    batch_init(&generation->batch, &limits);
    attention_cache_init(&generation->cache, kernels, options, options->positions);
    token_filter_init(&generation->filter, generation->options->id_count);
    generation->ids =
        memory_take((size_t)options->positions, sizeof *generation->ids, "generated tokens");
    generation->logits =
        memory_take((size_t)options->vocabulary, sizeof *generation->logits, "logits");
}

static void generation_deinit(struct generation *generation)
{
    memory_release(generation->logits);
    memory_release(generation->ids);
    token_filter_deinit(&generation->filter);
    attention_cache_deinit(&generation->cache);
    batch_deinit(&generation->batch);
}

/* Logits behind the last token. The batch is what the cache has not seen. */
static enum status logits_next(struct generation *generation, struct error *error)
{
    struct batch *const batch = &generation->batch;
    const int64_t first = generation->options->recompute ? 0 : generation->cache.count;
    const int64_t n = generation->count - first;
    batch->sequence_count = 1;
    batch->token_count = n;
    batch->target_count = 1;
    batch->starts[0] = 0;
    batch->starts[1] = (int32_t)n;
    for (int64_t i = 0; i < n; i++) {
        batch->ids[i] = generation->ids[first + i];
        batch->positions[i] = (int32_t)(first + i);
        batch->segments[i] = 0;
    }
    batch->target_rows[0] = (int32_t)(n - 1);
    batch->target_ids[0] = 0;
    return generation->options->recompute
               ? model_logits(generation->model, generation->weights, batch, generation->logits,
                              error)
               : model_logits_next(generation->model, &generation->cache, generation->weights,
                                   batch, generation->logits, error);
}

/* The `index`-th new token. */
static int32_t token_choose(struct generation *generation, uint64_t index)
{
    const struct generate_options *const options = generation->options;
    if (options->greedy) {
        if (options->filter.repetition_penalty != 1.0) {
            token_filter_repetition(&generation->filter, generation->logits, generation->ids,
                                    generation->count, options->filter.repetition_penalty);
        }
        return token_filter_best(&generation->filter, generation->logits);
    }
    token_filter_apply(&generation->filter, generation->logits, generation->ids, generation->count,
                       &options->filter);
    const struct random_key key = random_key_make(options->seed, RANDOM_PURPOSE_GENERATE, 0);
    return token_filter_draw(&generation->filter, generation->logits,
                             random_unit(random_at(key, 0, index)));
}

static enum status tokens_make(struct generation *generation, int64_t token_count,
                               const struct generate_sink *sink, struct error *error)
{
    for (int64_t i = 0; i < token_count; i++) {
        TRY(logits_next(generation, error));
        const int32_t id = token_choose(generation, (uint64_t)i);
        TRY(sink->take(sink->context, id, error));
        if (id == generation->options->end_id) {
            break;
        }
        generation->ids[generation->count++] = id;
    }
    return STATUS_OK;
}

enum status generate(struct model *model, const struct kernels *kernels,
                     const struct model_options *model_options, const float *weights,
                     const int32_t *prompt, int64_t count, const struct generate_options *options,
                     const struct generate_sink *sink, struct error *error)
{
    INVARIANT(count >= 1 && options->id_count <= model_options->vocabulary);
    const int64_t room = model_options->positions - count;
    if (room < 1) {
        FAIL(error, STATUS_INPUT,
             "the prompt is %lld tokens long, which leaves none of the model's %lld positions",
             (long long)count, (long long)model_options->positions);
    }
    for (int64_t i = 0; i < count; i++) {
        if (prompt[i] < 0 || prompt[i] >= options->id_count) {
            FAIL(error, STATUS_INPUT, "token id %d of the prompt is outside 0 to %lld", prompt[i],
                 (long long)options->id_count - 1);
        }
    }
    struct generation generation = {.model = model, .weights = weights, .options = options};
    generation_init(&generation, kernels, model_options);
    memcpy(generation.ids, prompt, (size_t)count * sizeof *prompt);
    generation.count = count;
    const enum status status = tokens_make(
        &generation, options->token_count < room ? options->token_count : room, sink, error);
    generation_deinit(&generation);
    return status;
}
