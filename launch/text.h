/* A text that grows: help pages, resolved configurations and man pages are put together in one
 * before they are printed or written. Release with text_deinit. Nothing here prints. */
#ifndef SHARDLM_LAUNCH_TEXT_H
#define SHARDLM_LAUNCH_TEXT_H

#include <stddef.h>

#include "base/error.h"

struct text {          /* zeroed: empty */
    char *data;        /* NULL or zero-terminated */
    size_t size_bytes; /* without the terminating zero */
    size_t capacity_bytes;
};

void text_add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
/* Words of `words` in lines of at most `columns` characters, each behind `indent` spaces (the first
 * line goes on where the text stands). A line feed in `words` begins a new line. Ends with a line
 * feed. */
void text_add_wrapped(struct text *text, const char *words, int indent, int columns);
void text_deinit(struct text *text); /* accepts a zeroed text */

#endif
