/* Lines of a file or of standard input, one at a time, in bounded memory. A line's end ("\n") is
 * not part of it; text behind the last one is a line too. */
#ifndef SHARDLM_LAUNCH_LINE_INPUT_H
#define SHARDLM_LAUNCH_LINE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum { LINE_INPUT_BYTES_MAX = 256 << 20 };

struct line_input {
    const char *name; /* for messages; borrowed */
    FILE *file;
    int64_t line; /* number of the line last given, from 1 */
    char *buffer;
    size_t begin_bytes; /* what was not yet given: [begin, end) of buffer */
    size_t end_bytes;
    size_t capacity_bytes;
    bool ended;
    bool keep_ends; /* set by the caller: a line's end is part of it */
};

/* NULL or "-": standard input. */
MUST_CHECK enum status line_input_open(struct line_input *input, const char *path,
                                       struct error *error);
void line_input_close(struct line_input *input); /* accepts a zeroed input */
/* *line is NULL behind the last line; borrowed until the next call, without a zero at its end. With
 * `text`, a line that is no valid UTF-8 is refused, naming line and byte. */
MUST_CHECK enum status line_input_next(struct line_input *input, bool text, const char **line,
                                       size_t *size_bytes, struct error *error);

#endif
