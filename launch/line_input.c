/* See line_input.h. */
#include "launch/line_input.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data_pipeline/utf8.h"

enum { READ_BYTES = 1 << 16 };

enum status line_input_open(struct line_input *input, const char *path, struct error *error)
{
    *input = (struct line_input){.name = path};
    if (path == NULL || strcmp(path, "-") == 0) {
        input->name = "standard input";
        input->file = stdin;
        return STATUS_OK;
    }
    int64_t size_bytes;
    TRY(file_size(path, &size_bytes, error)); /* says what is wrong with the path */
    input->file = fopen(path, "rb");
    if (input->file == NULL) {
        FAIL(error, STATUS_IO, "could not open \"%s\"", path);
    }
    return STATUS_OK;
}

void line_input_close(struct line_input *input)
{
    if (input->file != NULL && input->file != stdin) {
        (void)fclose(input->file);
    }
    memory_release(input->buffer);
    *input = (struct line_input){0};
}

/* Moves what is left to the front and reads more behind it. */
static enum status input_fill(struct line_input *input, struct error *error)
{
    const size_t left = input->end_bytes - input->begin_bytes;
    if (left >= LINE_INPUT_BYTES_MAX) {
        FAIL(error, STATUS_LIMIT, "could not read %s: line %lld is longer than %d bytes",
             input->name, (long long)input->line + 1, LINE_INPUT_BYTES_MAX);
    }
    if (left > 0) {
        memmove(input->buffer, input->buffer + input->begin_bytes, left);
    }
    input->begin_bytes = 0;
    void *block = input->buffer;
    memory_reserve(&block, &input->capacity_bytes, left + READ_BYTES, 1, "line");
    input->buffer = block;
    const size_t got = fread(input->buffer + left, 1, READ_BYTES, input->file);
    input->end_bytes = left + got;
    if (got == 0 && ferror(input->file) != 0) {
        FAIL(error, STATUS_IO, "could not read %s behind line %lld", input->name,
             (long long)input->line);
    }
    input->ended = got == 0;
    return STATUS_OK;
}

enum status line_input_next(struct line_input *input, bool text, const char **line,
                            size_t *size_bytes, struct error *error)
{
    size_t searched = 0;
    const char *end = NULL;
    for (;;) {
        const size_t left = input->end_bytes - input->begin_bytes;
        end = left == searched
                  ? NULL
                  : memchr(input->buffer + input->begin_bytes + searched, '\n', left - searched);
        if (end != NULL || input->ended) {
            break;
        }
        searched = left;
        TRY(input_fill(input, error));
    }
    const size_t left = input->end_bytes - input->begin_bytes;
    if (end == NULL && left == 0) {
        *line = NULL;
        *size_bytes = 0;
        return STATUS_OK;
    }
    const char *const begin = input->buffer + input->begin_bytes;
    const size_t whole = end == NULL ? left : (size_t)(end - begin) + 1;
    *size_bytes = whole - (end == NULL || input->keep_ends ? 0 : 1);
    *line = begin;
    input->begin_bytes += whole;
    input->line++;
    if (text && utf8_valid_prefix(begin, *size_bytes) != *size_bytes) {
        FAIL(error, STATUS_FORMAT, "could not read %s: line %lld is no valid UTF-8 at byte %zu",
             input->name, (long long)input->line, utf8_valid_prefix(begin, *size_bytes));
    }
    return STATUS_OK;
}
