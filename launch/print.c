/* See print.h. */
#include "launch/print.h"

#include <stdio.h>

void print_json(const json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_REAL_PRECISION(9));
    (void)fputc('\n', stdout);
}

void print_text(struct text *text)
{
    (void)fwrite(text->data, 1, text->size_bytes, stdout);
    text_deinit(text);
}
