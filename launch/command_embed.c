/* embed CHECKPOINT [TEXT…]: one vector for each text. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "launch/commands.h"
#include "launch/language.h"
#include "launch/print.h"
#include "tasks/embed.h"

struct embedding {
    const struct language *language;
    struct embed_options options;
    int64_t layer;
    struct token_list ids;
    float *vector; /* (C) */
};

/* Hidden states of the ids in `embedding`, pooled. */
static enum status vector_make(struct embedding *embedding, struct error *error)
{
    const struct language *const language = embedding->language;
    const struct model_options *const options = &language->pretrained.config.model;
    const int64_t n = (int64_t)embedding->ids.count;
    const struct batch_limits limits = {1, n, 0};
    struct model *model;
    TRY(model_open(&model, &language->kernels, options, &limits, NULL, error));
    struct batch batch;
    batch_init(&batch, &limits);
    language_batch(language, &embedding->ids, &batch);
    float *const hidden =
        memory_take((size_t)(n * options->hidden), sizeof *hidden, "hidden states");
    const enum status status =
        model_hidden(model, language->pretrained.weights, &batch, options->layers, hidden, error);
    if (status == STATUS_OK) {
        embed_pool(embedding->vector, hidden, n, options->hidden, &embedding->options);
    }
    memory_release(hidden);
    batch_deinit(&batch);
    model_close(model);
    return status;
}

static enum status text_take(void *context, int64_t index, const char *text, size_t size_bytes,
                             struct error *error)
{
    struct embedding *const embedding = context;
    (void)index;
    TRY(language_encode(embedding->language, text, size_bytes, true, &embedding->ids, error));
    if (embedding->ids.count == 0) {
        FAIL(error, STATUS_INPUT, "the text has no tokens");
    }
    TRY(vector_make(embedding, error));
    json_t *const values = json_array();
    for (int64_t i = 0; i < embedding->language->pretrained.config.model.hidden; i++) {
        (void)json_array_append_new(values, json_real((double)embedding->vector[i]));
    }
    json_t *const object = json_object();
    (void)json_object_set_new(object, "text", json_stringn(text, size_bytes));
    (void)json_object_set_new(object, "tokens", json_integer((json_int_t)embedding->ids.count));
    (void)json_object_set_new(object, "vector", values);
    print_json(object);
    json_decref(object);
    return STATUS_OK;
}

static enum status pooling_read(const struct command_line *line, enum embed_pooling *pooling,
                                struct error *error)
{
    static const char *const names[] = {"mean", "cls", "max"};
    const char *const name = command_line_text(line, "pooling");
    *pooling = EMBED_POOLING_MEAN;
    for (int64_t i = 0; name != NULL; i++) {
        if (i == ARRAY_LENGTH(names)) {
            FAIL(error, STATUS_INPUT, "option --pooling is \"%.64s\", expected mean, cls or max",
                 name);
        }
        if (strcmp(name, names[i]) == 0) {
            *pooling = (enum embed_pooling)i;
            break;
        }
    }
    return STATUS_OK;
}

static enum status embed_run(const struct command_line *line, struct error *error)
{
    struct language language;
    struct embedding embedding = {.language = &language};
    TRY(pooling_read(line, &embedding.options.pooling, error));
    TRY(language_open(&language, line->arguments[0], true, error));
    embedding.options.class_last = language.causal || language.permuted;
    embedding.options.normalise = !command_line_has(line, "raw");
    embedding.vector = memory_take((size_t)language.pretrained.config.model.hidden,
                                   sizeof *embedding.vector, "vector");
    const struct language_sink sink = {text_take, &embedding};
    const enum status status = language_texts(line, &sink, error);
    token_list_deinit(&embedding.ids);
    memory_release(embedding.vector);
    language_close(&language);
    return status;
}

static const struct command_option embed_options[] = {
    {.name = "file", .argument = "FILE", .help = "take each line as a text; \"-\": standard input"},
    {.name = "pooling",
     .argument = "HOW",
     .help = "mean of all tokens (unless told), max of each element, or cls, the token for the "
             "whole text"},
    {.name = "raw", .help = "leave the vectors as long as they are instead of length 1"},
};

const struct command command_embed = {
    .name = "embed",
    .arguments = "CHECKPOINT [TEXT…]",
    .argument_min = 1,
    .argument_max = COMMAND_LINE_REPEATS_MAX,
    .summary = "turn texts into vectors, one line of JSON each",
    .detail =
        "Each line is an object with \"text\", \"tokens\" and \"vector\": the last hidden states, "
        "pooled and "
        "of length 1, so that the product of two vectors says how alike their texts are. Use the "
        "mean: "
        "[CLS] (--pooling cls) was trained to answer one question, does the second text follow the "
        "first, or "
        "nothing at all (RoBERTa), and straight from pretraining its state says little about what "
        "a text "
        "means. Of GPT, cls is the last token, the only one that has seen the whole text; XLNet's "
        "class token stands last, too.",
    .options = embed_options,
    .option_count = ARRAY_LENGTH(embed_options),
    .run = embed_run,
};
