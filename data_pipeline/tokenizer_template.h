/* What a model's input is made of: special tokens around one text or two, truncation and padding.
 * The rules are those of the post-processor in tokenizer.json: RobertaProcessing, BertProcessing,
 * TemplateProcessing, ByteLevel, none. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_TEMPLATE_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_TEMPLATE_H

#include "base/json.h"
#include "data_pipeline/token_table.h"
#include "data_pipeline/tokenizer.h"

enum { TEMPLATE_PIECES_MAX = 32 };

enum template_source {
    TEMPLATE_SOURCE_SPECIAL, /* a token of the template's own */
    TEMPLATE_SOURCE_FIRST,   /* all of the first text */
    TEMPLATE_SOURCE_SECOND,
};

struct template_piece {
    enum template_source source;
    int32_t id;   /* of a special token */
    int32_t type; /* segment id */
};

struct template_row {
    struct template_piece pieces[TEMPLATE_PIECES_MAX];
    size_t count;
};

struct tokenizer_template {
    struct template_row single;
    struct template_row pair;
    bool trim_places; /* places of tokens leave out white space at their ends */
    bool keep_prefix; /* but for the blank that was put before the text */
};

/* From the value of "post_processor" (NULL or null: texts one after another). `where` names the
 * file. */
MUST_CHECK enum status tokenizer_template_read(struct tokenizer_template *template,
                                               const json_t *post_processor,
                                               const struct token_table *vocabulary,
                                               const char *where, struct error *error);

#endif
