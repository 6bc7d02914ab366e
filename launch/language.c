/* See language.h. */
#include "launch/language.h"

#include <string.h>

#include "data_pipeline/chain.h"
#include "data_pipeline/utf8.h"
#include "launch/line_input.h"
#include "model/family.h"

static enum status language_open_rest(struct language *language, struct error *error)
{
    const struct pretrained *const pretrained = &language->pretrained;
    if (pretrained->tokenizer[0] == '\0') {
        FAIL(error, STATUS_INPUT, "\"%s\" holds no tokenizer", pretrained->path);
    }
    TRY(tokenizer_open(&language->tokenizer, pretrained->tokenizer, error));
    const int64_t ids = tokenizer_vocabulary(language->tokenizer);
    if (ids > pretrained->config.model.vocabulary) {
        FAIL(error, STATUS_FORMAT, "the tokenizer \"%s\" has %lld token ids, the model only %lld",
             pretrained->tokenizer, (long long)ids, (long long)pretrained->config.model.vocabulary);
    }
    language->work = tokenizer_work_open();
    language->causal = family_find(&pretrained->config.model)->causal;
    language->permuted = pretrained->config.model.family == MODEL_FAMILY_XLNET;
    return kernels_open_configured(&language->kernels, &pretrained->config.numerics, error);
}

enum status language_open(struct language *language, const char *path, bool encoder_alone,
                          struct error *error)
{
    memset(language, 0, sizeof *language);
    TRY(encoder_alone ? pretrained_open_encoder(&language->pretrained, path, error)
                      : pretrained_open(&language->pretrained, path, error));
    const enum status status = language_open_rest(language, error);
    if (status != STATUS_OK) {
        language_close(language);
    }
    return status;
}

void language_close(struct language *language)
{
    if (language->work != NULL) {
        tokenizer_work_close(language->work);
    }
    tokenizer_close(language->tokenizer);
    pretrained_close(&language->pretrained);
    memset(language, 0, sizeof *language);
}

enum status language_encode(const struct language *language, const char *text, size_t size_bytes,
                            bool ends, struct token_list *ids, struct error *error)
{
    const size_t valid = utf8_valid_prefix(text, size_bytes);
    if (valid != size_bytes) {
        FAIL(error, STATUS_INPUT, "the text is no valid UTF-8 at byte %zu", valid);
    }
    const struct tokenizer_specials specials = tokenizer_specials(language->tokenizer);
    ids->count = 0;
    if (specials.bos >= 0 && !language->permuted) {
        token_list_add(ids, specials.bos);
    }
    tokenizer_encode(language->tokenizer, language->work, text, size_bytes, true, ids);
    if (ends && specials.eos >= 0) {
        token_list_add(ids, specials.eos);
    }
    if (specials.bos >= 0 && language->permuted) {
        token_list_add(ids, specials.bos);
    }
    const int64_t positions = language->pretrained.config.model.positions;
    if ((int64_t)ids->count > positions) {
        FAIL(error, STATUS_INPUT, "the text is %zu tokens long, the model has positions for %lld",
             ids->count, (long long)positions);
    }
    return STATUS_OK;
}

void language_batch(const struct language *language, const struct token_list *ids,
                    struct batch *batch)
{
    const int32_t count = (int32_t)ids->count;
    const bool has_class = language->permuted && tokenizer_specials(language->tokenizer).bos >= 0;
    batch->sequence_count = 1;
    batch->token_count = count;
    batch->target_count = 0;
    batch->starts[0] = 0;
    batch->starts[1] = count;
    for (int32_t i = 0; i < count; i++) {
        batch->ids[i] = ids->ids[i];
        batch->positions[i] = i;
        batch->segments[i] = has_class && i == count - 1 ? CHAIN_CLASS_SEGMENT : 0;
    }
}

static enum status lines_take(const char *path, const struct language_sink *sink,
                              struct error *error)
{
    struct line_input input;
    TRY(line_input_open(&input, path, error));
    enum status status = STATUS_OK;
    for (int64_t i = 0; status == STATUS_OK; i++) {
        const char *text = NULL;
        size_t size_bytes = 0;
        status = line_input_next(&input, true, &text, &size_bytes, error);
        if (status == STATUS_OK && text == NULL) {
            break;
        }
        if (status == STATUS_OK) {
            status = sink->take(sink->context, i, text, size_bytes, error);
            status = status == STATUS_OK ? STATUS_OK
                                         : error_context(error, status, "%s line %lld", input.name,
                                                         (long long)input.line);
        }
    }
    line_input_close(&input);
    return status;
}

enum status language_texts(const struct command_line *line, const struct language_sink *sink,
                           struct error *error)
{
    const char *const path = command_line_text(line, "file");
    if ((path != NULL) == (line->argument_count > 1)) {
        FAIL(error, STATUS_INPUT, "%s",
             path != NULL ? "texts are given both as arguments and by --file"
                          : "no text is given, neither as an argument nor by --file");
    }
    if (path != NULL) {
        return lines_take(path, sink, error);
    }
    for (int64_t i = 1; i < line->argument_count; i++) {
        const char *const text = line->arguments[i];
        TRY(sink->take(sink->context, i - 1, text, strlen(text), error));
    }
    return STATUS_OK;
}
