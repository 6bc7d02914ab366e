/* Reading the post-processor, and wrapping with truncation as Hugging Face shares it out. */
#include "data_pipeline/tokenizer_template.h"

#include <string.h>

#include "base/json.h"
#include "data_pipeline/tokenizer_parts.h"

static bool row_add(struct template_row *row, enum template_source source, int32_t id, int32_t type)
{
    if (row->count == TEMPLATE_PIECES_MAX) {
        return false;
    }
    row->pieces[row->count++] = (struct template_piece){source, id, type};
    return true;
}

/* A then B, which is what no post-processor means. */
static void template_plain(struct tokenizer_template *template)
{
    template->single.count = 0;
    template->pair.count = 0;
    (void)row_add(&template->single, TEMPLATE_SOURCE_FIRST, -1, 0);
    (void)row_add(&template->pair, TEMPLATE_SOURCE_FIRST, -1, 0);
    (void)row_add(&template->pair, TEMPLATE_SOURCE_SECOND, -1, 1);
}

static bool flag_of(const json_t *object, const char *key, bool otherwise)
{
    const json_t *const value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* The id of a token that the template names; it must be that of the vocabulary. */
static enum status named_id(const json_t *name, const json_t *id,
                            const struct token_table *vocabulary, const char *where,
                            int32_t *result, struct error *error)
{
    if (!json_is_string(name) || !json_is_integer(id)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": a special token of the post_processor is not a name and an id", where);
    }
    const char *const text = json_string_value(name);
    const int32_t known = token_table_find(vocabulary, text, json_string_length(name));
    if (known < 0 || known != json_integer_value(id)) {
        FAIL(error, STATUS_FORMAT,
             "\"%s\": post_processor gives token \"%s\" the id %lld, the vocabulary %d", where,
             text, (long long)json_integer_value(id), known);
    }
    *result = known;
    return STATUS_OK;
}

/* ["</s>", 2] under `key`. */
static enum status read_token_pair(const json_t *processor, const char *key,
                                   const struct token_table *vocabulary, const char *where,
                                   int32_t *id, struct error *error)
{
    json_t *pair = NULL;
    TRY(json_member_array(processor, key, where, &pair, error));
    return named_id(json_array_get(pair, 0), json_array_get(pair, 1), vocabulary, where, id, error);
}

/* cls A sep, cls A sep (sep) B sep; types 0, in BERT 1 from B on. */
static enum status read_classic(struct tokenizer_template *template, const json_t *processor,
                                bool roberta, const struct token_table *vocabulary,
                                const char *where, struct error *error)
{
    int32_t cls = -1;
    int32_t sep = -1;
    TRY(read_token_pair(processor, "cls", vocabulary, where, &cls, error));
    TRY(read_token_pair(processor, "sep", vocabulary, where, &sep, error));
    const int32_t second = roberta ? 0 : 1;
    template->single.count = 0;
    template->pair.count = 0;
    bool fits = true;
    struct template_row *const rows[] = {&template->single, &template->pair};
    for (int i = 0; i < ARRAY_LENGTH(rows); i++) {
        fits = fits && row_add(rows[i], TEMPLATE_SOURCE_SPECIAL, cls, 0);
        fits = fits && row_add(rows[i], TEMPLATE_SOURCE_FIRST, -1, 0);
        fits = fits && row_add(rows[i], TEMPLATE_SOURCE_SPECIAL, sep, 0);
    }
    if (roberta) {
        fits = fits && row_add(&template->pair, TEMPLATE_SOURCE_SPECIAL, sep, 0);
    }
    fits = fits && row_add(&template->pair, TEMPLATE_SOURCE_SECOND, -1, second);
    fits = fits && row_add(&template->pair, TEMPLATE_SOURCE_SPECIAL, sep, second);
    INVARIANT(fits);
    if (roberta) {
        template->trim_places = flag_of(processor, "trim_offsets", true);
        template->keep_prefix = flag_of(processor, "add_prefix_space", true);
    }
    return STATUS_OK;
}

/* The ids behind a special token's name in a template, each a piece. */
static enum status read_template_special(struct template_row *row, const json_t *processor,
                                         const json_t *special, int32_t type,
                                         const struct token_table *vocabulary, const char *where,
                                         struct error *error)
{
    const char *name = NULL;
    json_t *table = NULL;
    json_t *entry = NULL;
    json_t *ids = NULL;
    json_t *tokens = NULL;
    TRY(json_member_text(special, "id", where, &name, error));
    TRY(json_member_object(processor, "special_tokens", where, &table, error));
    TRY(json_member_object(table, name, where, &entry, error));
    TRY(json_member_array(entry, "ids", where, &ids, error));
    TRY(json_member_array(entry, "tokens", where, &tokens, error));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id = -1;
        TRY(named_id(json_array_get(tokens, i), json_array_get(ids, i), vocabulary, where, &id,
                     error));
        if (!row_add(row, TEMPLATE_SOURCE_SPECIAL, id, type)) {
            FAIL(error, STATUS_LIMIT, "\"%s\": post_processor has more than %d pieces", where,
                 TEMPLATE_PIECES_MAX);
        }
    }
    return STATUS_OK;
}

static enum status read_template_row(struct template_row *row, const json_t *processor,
                                     const char *key, const struct token_table *vocabulary,
                                     const char *where, struct error *error)
{
    json_t *pieces = NULL;
    TRY(json_member_array(processor, key, where, &pieces, error));
    row->count = 0;
    for (size_t i = 0; i < json_array_size(pieces); i++) {
        const json_t *const piece = json_array_get(pieces, i);
        const json_t *const sequence = json_object_get(piece, "Sequence");
        const json_t *const special = json_object_get(piece, "SpecialToken");
        const json_t *const body = sequence != NULL ? sequence : special;
        int64_t type = 0;
        TRY(json_member_integer(body, "type_id", where, &type, error));
        if (type < 0 || type > INT32_MAX) {
            FAIL(error, STATUS_FORMAT, "\"%s\": type_id %lld of the post_processor is out of range",
                 where, (long long)type);
        }
        if (sequence == NULL) {
            TRY(read_template_special(row, processor, special, (int32_t)type, vocabulary, where,
                                      error));
            continue;
        }
        const char *name = NULL;
        TRY(json_member_text(sequence, "id", where, &name, error));
        const bool first = strcmp(name, "A") == 0;
        if (!first && strcmp(name, "B") != 0) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": sequence \"%s\" of the post_processor is neither A nor B", where, name);
        }
        if (!first && strcmp(key, "single") == 0) {
            FAIL(error, STATUS_FORMAT,
                 "\"%s\": the post_processor's template for one text names sequence B", where);
        }
        if (!row_add(row, first ? TEMPLATE_SOURCE_FIRST : TEMPLATE_SOURCE_SECOND, -1,
                     (int32_t)type)) {
            FAIL(error, STATUS_LIMIT, "\"%s\": post_processor has more than %d pieces", where,
                 TEMPLATE_PIECES_MAX);
        }
    }
    return STATUS_OK;
}

static enum status read_one(struct tokenizer_template *template, const json_t *processor,
                            const struct token_table *vocabulary, const char *where,
                            struct error *error)
{
    const char *type = NULL;
    TRY(json_member_text(processor, "type", where, &type, error));
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0) {
        return read_classic(template, processor, type[0] == 'R', vocabulary, where, error);
    }
    if (strcmp(type, "TemplateProcessing") == 0) {
        TRY(read_template_row(&template->single, processor, "single", vocabulary, where, error));
        return read_template_row(&template->pair, processor, "pair", vocabulary, where, error);
    }
    if (strcmp(type, "ByteLevel") == 0) {
        template->trim_places = flag_of(processor, "trim_offsets", true);
        template->keep_prefix = flag_of(processor, "add_prefix_space", true);
        return STATUS_OK;
    }
    FAIL(error, STATUS_FORMAT,
         "\"%s\": post_processor \"%s\" is not supported: expected RobertaProcessing, "
         "BertProcessing, "
         "TemplateProcessing, ByteLevel or a Sequence of these",
         where, type);
}

enum status tokenizer_template_read(struct tokenizer_template *template,
                                    const json_t *post_processor,
                                    const struct token_table *vocabulary, const char *where,
                                    struct error *error)
{
    *template = (struct tokenizer_template){0};
    template_plain(template);
    if (post_processor == NULL || json_is_null(post_processor)) {
        return STATUS_OK;
    }
    const char *type = NULL;
    TRY(json_member_text(post_processor, "type", where, &type, error));
    if (strcmp(type, "Sequence") != 0) {
        return read_one(template, post_processor, vocabulary, where, error);
    }
    json_t *processors = NULL;
    TRY(json_member_array(post_processor, "processors", where, &processors, error));
    for (size_t i = 0; i < json_array_size(processors); i++) {
        TRY(read_one(template, json_array_get(processors, i), vocabulary, where, error));
    }
    return STATUS_OK;
}

/* Shares `room` between two texts as "longest first" does; *first and *second are counts. */
static void share_room(size_t room, size_t *first, size_t *second)
{
    const bool swap = *first > *second;
    size_t least = swap ? *second : *first;
    size_t most = least > room ? least : (least > room - least ? least : room - least);
    if (least + most > room) {
        least = room / 2;
        most = least + room % 2;
    }
    *first = swap ? most : least;
    *second = swap ? least : most;
}

/* Cuts the counts of both texts so that they fit together into `room`. */
static enum status truncate_counts(size_t room, enum truncation truncation, bool paired,
                                   size_t *first, size_t *second, struct error *error)
{
    if (*first + *second <= room) {
        return STATUS_OK;
    }
    const size_t over = *first + *second - room;
    if (truncation == TRUNCATION_LONGEST_FIRST && paired) {
        share_room(room, first, second);
        return STATUS_OK;
    }
    size_t *const cut = truncation == TRUNCATION_ONLY_SECOND ? second : first;
    if (*cut < over) {
        FAIL(error, STATUS_INPUT,
             "could not truncate: %zu tokens have to go, the text to cut has %zu", over, *cut);
    }
    *cut -= over;
    return STATUS_OK;
}

enum status tokenizer_wrap(const struct tokenizer *tokenizer, const struct token_list *first,
                           const struct token_list *second, const struct wrap_options *options,
                           struct token_list *ids, struct token_list *types, size_t *real_count,
                           struct error *error)
{
    const struct template_row *const row =
        second == NULL ? &tokenizer->template.single : &tokenizer->template.pair;
    size_t first_count = first->count;
    size_t second_count = second == NULL ? 0 : second->count;
    size_t special_count = 0;
    for (size_t i = 0; i < row->count; i++) {
        special_count += row->pieces[i].source == TEMPLATE_SOURCE_SPECIAL;
    }
    if (options->truncation != TRUNCATION_NONE) {
        if (options->token_count_max < special_count) {
            FAIL(error, STATUS_INPUT,
                 "could not truncate to %zu tokens: special tokens alone are %zu",
                 options->token_count_max, special_count);
        }
        TRY(truncate_counts(options->token_count_max - special_count, options->truncation,
                            second != NULL, &first_count, &second_count, error));
    }
    ids->count = 0;
    if (types != NULL) {
        types->count = 0;
    }
    for (size_t i = 0; i < row->count; i++) {
        const struct template_piece *const piece = &row->pieces[i];
        const bool special = piece->source == TEMPLATE_SOURCE_SPECIAL;
        const struct token_list *const text =
            piece->source == TEMPLATE_SOURCE_SECOND ? second : first;
        const size_t count = special ? 1 : (text == first ? first_count : second_count);
        for (size_t k = 0; k < count; k++) {
            token_list_add(ids, special ? piece->id : text->ids[k]);
            if (types != NULL) {
                token_list_add(types, piece->type);
            }
        }
    }
    *real_count = ids->count;
    if (options->pad && ids->count < options->token_count_max && tokenizer->specials.pad < 0) {
        FAIL(error, STATUS_INPUT, "could not pad to %zu tokens: the vocabulary has no <pad>",
             options->token_count_max);
    }
    while (options->pad && ids->count < options->token_count_max) {
        token_list_add(ids, tokenizer->specials.pad);
        if (types != NULL) {
            token_list_add(types, 0);
        }
    }
    return STATUS_OK;
}
