/* fill CHECKPOINT TEXT: the likeliest tokens for each mask of a text. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "launch/commands.h"
#include "launch/language.h"
#include "launch/print.h"
#include "model/model.h"

enum { TOP_MAX = 1000 };

struct guess {
    int32_t id;
    double probability;
};

/* One sequence, with every mask as a target. */
static void fill_batch(const struct language *language, struct batch *batch,
                       const struct token_list *ids)
{
    const int32_t mask = tokenizer_specials(language->tokenizer).mask;
    language_batch(language, ids, batch);
    for (int32_t i = 0; i < (int32_t)ids->count; i++) {
        if (ids->ids[i] == mask) {
            batch->target_rows[batch->target_count] = i;
            batch->target_ids[batch->target_count++] = mask;
        }
    }
}

/* The `top` likeliest ids of a row of logits (V), best first; equal ones by id. */
static void guesses_take(const float *logits, int64_t vocabulary, struct guess *guesses,
                         int64_t top)
{
    double largest = -(double)INFINITY;
    for (int64_t i = 0; i < vocabulary; i++) {
        largest = fmax(largest, (double)logits[i]);
    }
    double sum = 0;
    for (int64_t i = 0; i < vocabulary; i++) {
        sum += exp((double)logits[i] - largest);
    }
    int64_t count = 0;
    for (int64_t i = 0; i < vocabulary; i++) {
        const double probability = exp((double)logits[i] - largest) / sum;
        int64_t place = count;
        while (place > 0 && guesses[place - 1].probability < probability) {
            place--;
        }
        if (place == top) {
            continue;
        }
        count += count < top ? 1 : 0;
        memmove(guesses + place + 1, guesses + place,
                (size_t)(count - 1 - place) * sizeof *guesses);
        guesses[place] = (struct guess){(int32_t)i, probability};
    }
}

static enum status guess_print(const struct tokenizer *tokenizer, const struct guess *guess,
                               json_t *list, struct error *error)
{
    char *text;
    size_t size_bytes;
    TRY(tokenizer_decode(tokenizer, &guess->id, 1, false, &text, &size_bytes, error));
    if (list != NULL) {
        json_t *const object = json_object();
        (void)json_object_set_new(object, "id", json_integer(guess->id));
        (void)json_object_set_new(object, "text", json_stringn(text, size_bytes));
        (void)json_object_set_new(object, "probability", json_real(guess->probability));
        (void)json_array_append_new(list, object);
    } else {
        /* As a JSON string: a piece may be a line feed or another control character. */
        json_t *const piece = json_stringn(text, size_bytes);
        (void)printf("%8.2f %%  ", guess->probability * 100);
        (void)json_dumpf(piece, stdout, JSON_ENCODE_ANY);
        (void)fputc('\n', stdout);
        json_decref(piece);
    }
    memory_release(text);
    return STATUS_OK;
}

static enum status fill_print(const struct tokenizer *tokenizer, const struct batch *batch,
                              const float *logits, int64_t row, int64_t top, bool as_json,
                              struct error *error)
{
    const int64_t vocabulary =
        tokenizer_vocabulary(tokenizer); /* a model may have spare rows behind it */
    struct guess guesses[TOP_MAX];
    json_t *const masks = json_array();
    enum status status = STATUS_OK;
    for (int64_t k = 0; status == STATUS_OK && k < batch->target_count; k++) {
        json_t *const list = as_json ? json_array() : NULL;
        guesses_take(logits + k * row, vocabulary, guesses, top);
        if (!as_json) {
            (void)printf("%smask %lld, at token %d\n", k == 0 ? "" : "\n", (long long)(k + 1),
                         batch->target_rows[k]);
        }
        for (int64_t i = 0; status == STATUS_OK && i < top; i++) {
            status = guess_print(tokenizer, &guesses[i], list, error);
        }
        if (as_json) {
            (void)json_array_append_new(masks, list);
        }
    }
    if (as_json && status == STATUS_OK) {
        print_json(masks);
    }
    json_decref(masks);
    return status;
}

/* XLNet reads a mask as a target: hidden from all, its own query sees the rest. */
static void fill_permute(struct batch *batch)
{
    for (int64_t i = 0; i < batch->token_count; i++) {
        batch->orders[i] = -1;
        batch->horizons[i] = 0;
    }
    for (int64_t k = 0; k < batch->target_count; k++) {
        batch->orders[batch->target_rows[k]] = 0;
    }
    batch->permuted = true;
}

static enum status fill_predict(const struct language *language, const struct token_list *ids,
                                int64_t top, bool as_json, struct error *error)
{
    const struct pretrained *const pretrained = &language->pretrained;
    const struct model_options *const options = &pretrained->config.model;
    const struct batch_limits limits = {1, (int64_t)ids->count, (int64_t)ids->count};
    struct model *model = NULL;
    TRY(model_open(&model, &language->kernels, options, &limits, NULL, error));
    struct batch batch;
    batch_init(&batch, &limits);
    fill_batch(language, &batch, ids);
    if (language->permuted) {
        fill_permute(&batch);
    }
    float *const logits =
        memory_take((size_t)(batch.target_count * options->vocabulary), sizeof *logits, "logits");
    enum status status = model_logits(model, pretrained->weights, &batch, logits, error);
    if (status == STATUS_OK) {
        status = fill_print(language->tokenizer, &batch, logits, options->vocabulary, top, as_json,
                            error);
    }
    memory_release(logits);
    batch_deinit(&batch);
    model_close(model);
    return status;
}

static enum status fill_check(const struct language *language, const struct token_list *ids,
                              struct error *error)
{
    const int32_t mask = tokenizer_specials(language->tokenizer).mask;
    if (language->causal) {
        FAIL(error, STATUS_INPUT,
             "\"%.400s\" predicts what comes next, not masked tokens: use generate",
             language->pretrained.path);
    }
    if (mask < 0) {
        FAIL(error, STATUS_INPUT, "the tokenizer \"%.400s\" has no mask token",
             language->pretrained.tokenizer);
    }
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->ids[i] == mask) {
            return STATUS_OK;
        }
    }
    FAIL(error, STATUS_INPUT, "the text has no %s to fill",
         tokenizer_token(language->tokenizer, mask));
}

static enum status fill_run(const struct command_line *line, struct error *error)
{
    const char *const text = line->arguments[1];
    int64_t top;
    TRY(command_line_integer(line, "top", 1, TOP_MAX, 5, &top, error));
    struct language language;
    struct token_list ids = {0};
    TRY(language_open(&language, line->arguments[0], false, error));
    enum status status = language_encode(&language, text, strlen(text), true, &ids, error);
    if (status == STATUS_OK) {
        status = fill_check(&language, &ids, error);
    }
    if (status == STATUS_OK) {
        const int64_t vocabulary = tokenizer_vocabulary(language.tokenizer);
        status = fill_predict(&language, &ids, top < vocabulary ? top : vocabulary,
                              command_line_has(line, "json"), error);
    }
    token_list_deinit(&ids);
    language_close(&language);
    return status;
}

static const struct command_option fill_options[] = {
    {.name = "top", .argument = "N", .help = "predictions for each mask, 5 unless told"},
    {.name = "json", .help = "print, for each mask, a list of {\"id\", \"text\", \"probability\"}"},
};

const struct command command_fill = {
    .name = "fill",
    .arguments = "CHECKPOINT TEXT",
    .argument_min = 2,
    .argument_max = 2,
    .summary = "predict the masked words of a text: \"The sky is <mask>.\"",
    .detail =
        "The mask is written as the tokenizer has it: <mask> (RoBERTa) or [MASK] (BERT, ALBERT). "
        "CHECKPOINT may be a run (its newest good checkpoint is taken) or a Hugging Face folder.",
    .options = fill_options,
    .option_count = ARRAY_LENGTH(fill_options),
    .run = fill_run,
};
