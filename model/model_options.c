/* See model_options.h. */
#include "model/model_options.h"

#include <stddef.h>

#include "model/family.h"

/* Largest accepted sizes: far beyond any use, small enough that no product of two overflows. */
enum { WIDTH_MAX = 1 << 20, ROWS_MAX = 1 << 28 };

static enum status size_check(const char *what, int64_t value, int64_t least, int64_t most,
                              struct error *error)
{
    if (value < least || value > most) {
        FAIL(error, STATUS_INPUT, "model %s %lld is outside %lld to %lld", what, (long long)value,
             (long long)least, (long long)most);
    }
    return STATUS_OK;
}

static enum status rate_check(const char *what, double value, struct error *error)
{
    if (!(value >= 0.0 && value < 1.0)) {
        FAIL(error, STATUS_INPUT, "model %s %g is outside [0, 1)", what, value);
    }
    return STATUS_OK;
}

static enum status share_check(const struct model_options *options, const struct family *family,
                               struct error *error)
{
    TRY(size_check("embedding_width", options->embedding_width, 0, options->hidden, error));
    TRY(size_check("groups", options->groups, 0, options->layers, error));
    TRY(size_check("inner_layers", options->inner_layers, 0, options->layers, error));
    if (!family->shares &&
        (model_embedding_width(options) != options->hidden || options->share != MODEL_SHARE_NONE ||
         model_layer_groups(options) != 1 || model_inner_layers(options) != 1)) {
        FAIL(error, STATUS_INPUT,
             "model family %s has no embedding_width, share, groups or inner_layers",
             family->prefix);
    }
    if (options->layers % (model_layer_groups(options) * model_inner_layers(options)) != 0) {
        FAIL(error, STATUS_INPUT,
             "model layers %lld are not a multiple of groups %lld times inner_layers %lld",
             (long long)options->layers, (long long)model_layer_groups(options),
             (long long)model_inner_layers(options));
    }
    return STATUS_OK;
}

static enum status span_check(const struct model_options *options, struct error *error)
{
    if (options->family != MODEL_FAMILY_SPANBERT) {
        return STATUS_OK;
    }
    TRY(size_check("span_positions", options->span_positions, 1, WIDTH_MAX, error));
    return size_check("span_position_width", options->span_position_width, 1, WIDTH_MAX, error);
}

static enum status relative_check(const struct model_options *options, const struct family *family,
                                  struct error *error)
{
    TRY(size_check("memory_tokens", options->memory_tokens, 0, WIDTH_MAX, error));
    TRY(size_check("memory_reuse", options->memory_reuse, 0, WIDTH_MAX, error));
    TRY(size_check("distance_max", options->distance_max, 0, WIDTH_MAX, error));
    if (!family->relative && (options->memory_tokens != 0 || options->memory_reuse != 0 ||
                              options->distance_max != 0 || options->one_way)) {
        FAIL(error, STATUS_INPUT,
             "model family %s has no memory_tokens, memory_reuse, distance_max or one_way",
             family->prefix);
    }
    if (family->relative && (options->hidden % 2 != 0 || options->positions > WIDTH_MAX)) {
        FAIL(error, STATUS_INPUT,
             "model hidden %lld, positions %lld: relative positions need an even hidden and at "
             "most %d positions",
             (long long)options->hidden, (long long)options->positions, WIDTH_MAX);
    }
    return STATUS_OK;
}

enum status model_options_check(const struct model_options *options, struct error *error)
{
    const struct family *const family = family_find(options);
    if (family == NULL) {
        FAIL(error, STATUS_INPUT, "model family %d with %s-norm is unknown", (int)options->family,
             options->norm == MODEL_NORM_PRE ? "pre" : "post");
    }
    TRY(size_check("layers", options->layers, 1, MODEL_LAYERS_MAX, error));
    TRY(size_check("hidden", options->hidden, 1, WIDTH_MAX, error));
    TRY(size_check("heads", options->heads, 1, options->hidden, error));
    TRY(size_check("feed_forward", options->feed_forward, 1, WIDTH_MAX, error));
    TRY(size_check("positions", options->positions, 1, ROWS_MAX, error));
    TRY(size_check("position_offset", options->position_offset, 0, ROWS_MAX, error));
    TRY(size_check("vocabulary", options->vocabulary, 1, ROWS_MAX, error));
    TRY(size_check("type_vocabulary", options->type_vocabulary, 1, ROWS_MAX, error));
    TRY(size_check("pad_id", options->pad_id, -1, options->vocabulary - 1, error));
    TRY(rate_check("dropout", options->dropout, error));
    TRY(rate_check("attention_dropout", options->attention_dropout, error));
    if (options->hidden % options->heads != 0) {
        FAIL(error, STATUS_INPUT, "model hidden %lld is not a multiple of heads %lld",
             (long long)options->hidden, (long long)options->heads);
    }
    if (!(options->norm_epsilon > 0.0 && options->norm_epsilon < 1.0)) {
        FAIL(error, STATUS_INPUT, "model norm_epsilon %g is outside (0, 1)", options->norm_epsilon);
    }
    if (!(options->init_range >= 0.0 && options->init_range < 100.0)) {
        FAIL(error, STATUS_INPUT, "model init_range %g is outside [0, 100)", options->init_range);
    }
    TRY(span_check(options, error));
    TRY(relative_check(options, family, error));
    return share_check(options, family, error);
}
