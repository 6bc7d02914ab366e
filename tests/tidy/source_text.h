/* The text of one source file, and two copies of it in which what a rule must not see is
 * overwritten by spaces: comments, and comments together with what stands inside quotes. All three
 * have the same length and the same lines, so an offset or a line number holds in each. */
#ifndef SHARDLM_TESTS_TIDY_SOURCE_TEXT_H
#define SHARDLM_TESTS_TIDY_SOURCE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct source_text {
    const char *path;  /* from the repository's root; borrowed */
    char *text;        /* as it is, with a zero behind it */
    char *uncommented; /* comments blank */
    char *code;        /* comments and the inside of strings and character constants blank */
    size_t size_bytes;
};

/* Copies `text`. Leaves the process when memory is short: this is a test program. */
void source_text_init(struct source_text *source, const char *path, const char *text);
void source_text_deinit(struct source_text *source);

/* The next line of any of the three texts: where it begins and how long it is. Start with *offset =
 * 0. */
bool source_line_next(const char *text, size_t *offset, const char **line, size_t *length);

#endif
