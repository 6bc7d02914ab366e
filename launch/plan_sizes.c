/* See plan_sizes.h. */
#include "launch/plan_sizes.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/data_source.h"
#include "model/model.h"
#include "model/needed.h"

enum { PIPELINES_FIRST = 4 }; /* all up to this, then its doubles */

/* Useful operations of `count` full sequences. */
static double full_flops(const struct config *config, int64_t count, int64_t target_count)
{
    const int64_t length = config->data.sequence_tokens;
    int32_t *const starts = memory_take((size_t)count + 1, sizeof *starts, "plan");
    for (int64_t b = 0; b <= count; b++) {
        starts[b] = (int32_t)(b * length);
    }
    const struct batch full = {.sequence_count = count,
                               .token_count = count * length,
                               .target_count = target_count,
                               .starts = starts};
    const double flops = model_train_flops(&config->model, &full);
    memory_release(starts);
    return flops;
}

double plan_sizes_sequence_flops(const struct config *config)
{
    return full_flops(config, 1, config->data.sequence_tokens / 4);
}

/* What a tensor member sends in a round of doubling: sums over parts of attention's and
 * feed-forward's outputs and of their inputs' gradients, those of the last layer mostly of the
 * needed rows alone; and the gradient of the head's rows. */
static int64_t exchange_bytes(const struct model_options *model, const struct batch_limits *limits,
                              enum model_recompute recompute)
{
    const int64_t n = limits->token_count;
    const struct batch full = {.token_count = n, .target_count = limits->target_count};
    const int64_t needed = needed_is_part(model, &full) ? limits->target_count : n;
    int64_t rows = (model->layers - 1) * 4 * n + n + 3 * needed;
    if (recompute == MODEL_RECOMPUTE_LAYER) { /* attention's output once more */
        rows += (model->layers - 1) * n + needed;
    }
    const int64_t floats =
        rows * model->hidden + limits->target_count * model_embedding_width(model);
    return floats * (int64_t)sizeof(float);
}

/* Mean and largest of a pipeline's sections; of the whole network without one. */
static enum status work_find(const struct config *config, const struct batch_limits *limits,
                             struct model_role role, struct forecast_work *work,
                             struct error *error)
{
    struct kernels kernels;
    TRY(kernels_open(&kernels, kernels_level_best(), error));
    int64_t sum = 0;
    *work = (struct forecast_work){0};
    for (role.section = 0; role.section < role.section_count; role.section++) {
        int64_t bytes;
        TRY(model_work_bytes(&kernels, &config->model, limits, &role, &bytes, error));
        sum += bytes;
        work->most = bytes > work->most ? bytes : work->most;
    }
    work->mean = sum / role.section_count;
    return STATUS_OK;
}

static struct model_role role_of(const struct config *config)
{
    return (struct model_role){.trains = true,
                               .tensor_parts = config->numerics.tensor_parts,
                               .tensor_count = config->shard.tensor,
                               .recompute = config->shard.activation_recompute,
                               .section_count = config->shard.pipeline};
}

static enum status limits_find(const struct config *config, struct batch_limits *limits,
                               int64_t *slots, struct error *error)
{
    struct data_source *source;
    TRY(data_source_open(&source, &config->data, &config->step, config->seed,
                         config->model.vocabulary, error));
    *limits = data_source_limits(source);
    *slots = data_source_slots(source);
    data_source_close(source);
    return STATUS_OK;
}

enum status plan_sizes_work(const struct config *config, struct forecast_work *work,
                            struct error *error)
{
    struct batch_limits limits;
    int64_t slots;
    TRY(limits_find(config, &limits, &slots, error));
    return work_find(config, &limits, role_of(config), work, error);
}

/* Adds to an ascending list, unless it is in it or there is no room. */
static void cut_add(int64_t cuts[FORECAST_CUTS_MAX], int64_t cut)
{
    int64_t place = 0;
    while (place < FORECAST_CUTS_MAX && cuts[place] > 0 && cuts[place] < cut) {
        place++;
    }
    if (place < FORECAST_CUTS_MAX && cuts[place] != cut && cuts[FORECAST_CUTS_MAX - 1] == 0) {
        memmove(cuts + place + 1, cuts + place,
                (size_t)(FORECAST_CUTS_MAX - 1 - place) * sizeof *cuts);
        cuts[place] = cut;
    }
}

static void cuts_list(const struct config *config, struct forecast_inputs *inputs)
{
    cut_add(inputs->pipelines, config->shard.pipeline);
    for (int64_t p = 1; p <= config->model.layers; p = p < PIPELINES_FIRST ? p + 1 : 2 * p) {
        cut_add(inputs->pipelines, p);
    }
    for (int64_t t = 1; t <= config->numerics.tensor_parts; t *= 2) {
        cut_add(inputs->tensors, t);
    }
}

enum status plan_sizes_works(const struct config *config, struct forecast_inputs *inputs,
                             struct error *error)
{
    struct batch_limits limits;
    int64_t slots;
    TRY(limits_find(config, &limits, &slots, error));
    cuts_list(config, inputs);
    struct model_role role = role_of(config);
    for (int again = 0; again < MODEL_RECOMPUTES; again++) {
        role.recompute = (enum model_recompute)again;
        for (int64_t p = 0; p < FORECAST_CUTS_MAX && inputs->pipelines[p] > 0; p++) {
            role.section_count = inputs->pipelines[p];
            for (int64_t t = 0; t < FORECAST_CUTS_MAX && inputs->tensors[t] > 0; t++) {
                role.tensor_count = inputs->tensors[t];
                TRY(work_find(config, &limits, role, &inputs->works[again][p][t], error));
            }
        }
    }
    return STATUS_OK;
}

enum status plan_sizes_find(const struct config *config, struct plan_sizes *sizes,
                            struct error *error)
{
    struct batch_limits limits;
    *sizes = (struct plan_sizes){0};
    TRY(limits_find(config, &limits, &sizes->slots, error));
    sizes->slot_flops = full_flops(config, config->step.slot_tokens / config->data.sequence_tokens,
                                   limits.target_count);
    sizes->state_bytes = limits.token_count * config->model.hidden * (int64_t)sizeof(float);
    for (int again = 0; again < MODEL_RECOMPUTES; again++) {
        sizes->exchange_bytes[again] =
            exchange_bytes(&config->model, &limits, (enum model_recompute)again);
    }
    struct parameter_table table;
    TRY(parameter_table_init(&table, &config->model, error));
    sizes->elements = table.element_count;
    sizes->blocks = table.element_count / PARAMETER_BLOCK;
    sizes->table_elements = table.groups[parameter_embedding_group(&table)].count;
    for (int64_t group = 0; group < table.group_count; group++) {
        const int64_t count = table.groups[group].count;
        if (group != parameter_embedding_group(&table) && count > sizes->layer_elements) {
            sizes->layer_elements = count;
        }
    }
    sizes->parameters = table.parameter_count;
    parameter_table_deinit(&table);
    return STATUS_OK;
}
