/* Unicode normalisation forms, marks and grapheme clusters, by utf8proc, as Hugging Face's
 * normalisers have them: characters that are newer than their tables (about version 10 of Unicode)
 * are taken as they are. */
#ifndef SHARDLM_DATA_PIPELINE_UNICODE_FORM_H
#define SHARDLM_DATA_PIPELINE_UNICODE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/normal_text.h"

enum unicode_form {
    UNICODE_FORM_NFC,
    UNICODE_FORM_NFD,
    UNICODE_FORM_NFKC,
    UNICODE_FORM_NFKD,
};

/* One character of a text on its way. */
struct form_point {
    uint32_t code_point;
    uint32_t class; /* canonical combining class */
    int32_t change; /* 1: stands for no character of the text; -n: for the next n too */
};

struct form_work { /* one thread's scratch; release with form_work_deinit */
    struct form_point *points;
    size_t count;
    size_t capacity;
    struct text_origin *origins; /* of the text's characters */
    size_t origin_count;
    size_t origin_capacity;
};
void form_work_deinit(struct form_work *work);

/* Appends the form of `in` (valid UTF-8). Places are counted off as the reference does: a character
 * that stands for several has the place of the first, one that was added that of the one before it,
 * and where marks changed their order the places did not. */
void unicode_form_apply(enum unicode_form form, const struct normal_text *in,
                        struct form_work *work, struct normal_text *out);
bool unicode_is_mark(uint32_t code_point);
/* End of the grapheme cluster that begins at `at` (valid UTF-8). */
size_t unicode_grapheme_end(const char *text, size_t size_bytes, size_t at);

#endif
