/* See corpus_text.h. */
#include "data_pipeline/corpus_text.h"

#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/corpus_stream.h"
#include "data_pipeline/utf8.h"

enum { TEXT_PIECE_BYTES = 1 << 18 };

enum text_kind { TEXT_KIND_UNKNOWN, TEXT_KIND_LINES, TEXT_KIND_JSON };

struct text_line {
    const char *text; /* without the line end; borrowed until the next line */
    size_t size_bytes;
    int64_t offset; /* of its first byte */
    bool broken;    /* not UTF-8, and to be skipped */
};

struct corpus_text {
    char *path;
    enum text_kind kind;
    struct corpus_text_options options;
    struct corpus_stream *stream;
    char *buffer; /* buffer[begin .. end) was read and not yet returned as lines */
    size_t begin;
    size_t end;
    size_t capacity;
    int64_t begin_offset; /* of buffer[begin] in the text */
    bool stream_ended;
    int64_t line_number; /* of the line returned last, from 1 */
    struct text_line line;
    bool line_waits; /* `line` belongs to the next document */
    char *repaired;  /* a line with U+FFFD in it */
    size_t repaired_capacity;
    char *document;
    size_t document_size;
    size_t document_capacity;
    json_t *root;                /* holds the text of a JSON document */
    struct corpus_document rest; /* of a document that was too long for one */
    struct corpus_text_counts counts;
};

static bool ends_with(const char *name, size_t length, const char *ending)
{
    const size_t ending_length = strlen(ending);
    return length > ending_length &&
           memcmp(name + length - ending_length, ending, ending_length) == 0;
}

static enum text_kind text_kind_of(const char *path)
{
    size_t length = strlen(path);
    if (ends_with(path, length, ".gz")) {
        length -= strlen(".gz");
    } else if (ends_with(path, length, ".zst")) {
        length -= strlen(".zst");
    }
    if (ends_with(path, length, ".txt")) {
        return TEXT_KIND_LINES;
    }
    return ends_with(path, length, ".jsonl") ? TEXT_KIND_JSON : TEXT_KIND_UNKNOWN;
}

bool corpus_text_accepts(const char *path)
{
    return text_kind_of(path) != TEXT_KIND_UNKNOWN;
}

/* Makes room behind `end` and reads one piece. */
static enum status text_refill(struct corpus_text *reader, struct error *error)
{
    const size_t kept = reader->end - reader->begin;
    if (reader->begin > 0) {
        memmove(reader->buffer, reader->buffer + reader->begin, kept);
        reader->begin = 0;
        reader->end = kept;
    }
    if (kept > CORPUS_LINE_BYTES_MAX) {
        FAIL(error, STATUS_LIMIT,
             "could not read \"%s\": the line at byte %lld is longer than %d bytes", reader->path,
             (long long)reader->begin_offset, CORPUS_LINE_BYTES_MAX);
    }
    memory_reserve((void **)&reader->buffer, &reader->capacity, kept + TEXT_PIECE_BYTES, 1,
                   "corpus text");
    size_t got;
    TRY(corpus_stream_read(reader->stream, reader->buffer + kept, TEXT_PIECE_BYTES, &got, error));
    reader->end = kept + got;
    reader->stream_ended = got < TEXT_PIECE_BYTES;
    return STATUS_OK;
}

/* Cuts the next line off the buffer into reader->line; *found is false at the end of the file. */
static enum status text_cut_line(struct corpus_text *reader, bool *found, struct error *error)
{
    size_t searched = 0;
    const char *line_end = NULL;
    for (;;) {
        const size_t available = reader->end - reader->begin;
        if (available > searched) {
            line_end =
                memchr(reader->buffer + reader->begin + searched, '\n', available - searched);
        }
        if (line_end != NULL || reader->stream_ended) {
            break;
        }
        searched = available;
        TRY(text_refill(reader, error));
    }
    const size_t available = reader->end - reader->begin;
    *found = available > 0;
    if (available == 0) {
        return STATUS_OK;
    }
    const char *const text = reader->buffer + reader->begin;
    const size_t length = line_end == NULL ? available : (size_t)(line_end - text);
    const size_t taken = line_end == NULL ? length : length + 1;
    reader->line =
        (struct text_line){.text = text, .size_bytes = length, .offset = reader->begin_offset};
    reader->begin += taken;
    reader->begin_offset += (int64_t)taken;
    reader->line_number++;
    return STATUS_OK;
}

/* Applies the UTF-8 policy to reader->line. */
static enum status text_check_line(struct corpus_text *reader, struct error *error)
{
    struct text_line *const line = &reader->line;
    const size_t valid = utf8_valid_prefix(line->text, line->size_bytes);
    if (valid == line->size_bytes) {
        return STATUS_OK;
    }
    const int64_t offset = line->offset + (int64_t)valid;
    if (reader->counts.invalid_offset < 0) {
        reader->counts.invalid_offset = offset;
    }
    if (reader->options.invalid_utf8 == CORPUS_UTF8_REFUSE) {
        FAIL(error, STATUS_FORMAT, "could not read \"%s\": invalid UTF-8 at byte %lld (line %lld)",
             reader->path, (long long)offset, (long long)reader->line_number);
    }
    if (reader->options.invalid_utf8 == CORPUS_UTF8_SKIP) {
        line->broken = true;
        return STATUS_OK;
    }
    memory_reserve((void **)&reader->repaired, &reader->repaired_capacity, 3 * line->size_bytes, 1,
                   "corpus text");
    line->size_bytes = utf8_repair(line->text, line->size_bytes, reader->repaired);
    line->text = reader->repaired;
    reader->counts.lines_repaired++;
    return STATUS_OK;
}

static bool line_is_blank(const struct text_line *line)
{
    for (size_t i = 0; i < line->size_bytes; i++) {
        if (line->text[i] != ' ' && line->text[i] != '\t') {
            return false;
        }
    }
    return true;
}

/* The next line, checked, without byte order mark and CR. */
static enum status text_next_line(struct corpus_text *reader, bool *found, struct error *error)
{
    if (reader->line_waits) {
        reader->line_waits = false;
        *found = true;
        return STATUS_OK;
    }
    TRY(text_cut_line(reader, found, error));
    if (!*found) {
        return STATUS_OK;
    }
    struct text_line *const line = &reader->line;
    if (line->offset == 0 && line->size_bytes >= 3 && memcmp(line->text, "\xef\xbb\xbf", 3) == 0) {
        line->text += 3;
        line->size_bytes -= 3;
        line->offset += 3;
    }
    if (line->size_bytes > 0 && line->text[line->size_bytes - 1] == '\r') {
        line->size_bytes--;
    }
    TRY(text_check_line(reader, error));
    if (line->size_bytes > CORPUS_LINE_BYTES_MAX) {
        FAIL(error, STATUS_LIMIT,
             "could not read \"%s\": the line at byte %lld is longer than %d bytes", reader->path,
             (long long)line->offset, CORPUS_LINE_BYTES_MAX);
    }
    return STATUS_OK;
}

/* Appends reader->line to the document; false if it would become too long. */
static bool text_append_line(struct corpus_text *reader)
{
    const size_t old_size = reader->document_size;
    const size_t joint = old_size > 0 ? 1 : 0;
    const size_t new_size = old_size + joint + reader->line.size_bytes;
    if (old_size > 0 && new_size > CORPUS_DOCUMENT_BYTES_MAX) {
        return false;
    }
    memory_reserve((void **)&reader->document, &reader->document_capacity, new_size, 1,
                   "corpus document");
    if (joint > 0) {
        reader->document[old_size] = '\n';
    }
    memcpy(reader->document + old_size + joint, reader->line.text, reader->line.size_bytes);
    reader->document_size = new_size;
    return true;
}

static enum status text_next_paragraphs(struct corpus_text *reader,
                                        struct corpus_document *document, bool *found,
                                        struct error *error)
{
    reader->document_size = 0;
    bool broken = false;
    for (;;) {
        bool more;
        TRY(text_next_line(reader, &more, error));
        if (more && !line_is_blank(&reader->line)) {
            broken = broken || reader->line.broken;
            if (text_append_line(reader)) {
                continue;
            }
            reader->line_waits = true;
        }
        if (broken) {
            reader->counts.documents_skipped++;
        } else if (reader->document_size > 0) {
            *document = (struct corpus_document){reader->document, reader->document_size};
            *found = true;
            return STATUS_OK;
        }
        if (!more) {
            *found = false;
            return STATUS_OK;
        }
        reader->document_size = 0;
        broken = reader->line_waits && reader->line.broken;
    }
}

/* The text of the JSON object in reader->line. */
static enum status text_parse_object(struct corpus_text *reader, struct corpus_document *document,
                                     struct error *error)
{
    const struct text_line *const line = &reader->line;
    const char *const key = reader->options.json_key;
    json_decref(reader->root);
    reader->root = NULL;
    TRY(json_read_text(reader->path, line->text, line->size_bytes, &reader->root, error));
    const char *text;
    TRY(json_member_text(reader->root, key, reader->path, &text, error));
    document->text = text;
    document->size_bytes = json_string_length(json_object_get(reader->root, key));
    return STATUS_OK;
}

static enum status text_next_object(struct corpus_text *reader, struct corpus_document *document,
                                    bool *found, struct error *error)
{
    for (;;) {
        TRY(text_next_line(reader, found, error));
        if (!*found) {
            return STATUS_OK;
        }
        if (reader->line.broken) {
            reader->counts.documents_skipped++;
            continue;
        }
        if (line_is_blank(&reader->line)) {
            continue;
        }
        const enum status status = text_parse_object(reader, document, error);
        if (status != STATUS_OK) {
            return error_context(error, status, "line %lld at byte %lld",
                                 (long long)reader->line_number, (long long)reader->line.offset);
        }
        if (document->size_bytes > 0) {
            return STATUS_OK;
        }
    }
}

enum status corpus_text_open(struct corpus_text **reader, const char *path,
                             const struct corpus_text_options *options, struct error *error)
{
    const enum text_kind kind = text_kind_of(path);
    if (kind == TEXT_KIND_UNKNOWN) {
        FAIL(error, STATUS_INPUT,
             "could not read \"%s\": expected a name that ends in .txt or .jsonl, plain or with "
             ".gz or .zst",
             path);
    }
    struct corpus_text *const made = memory_take(1, sizeof *made, "corpus text");
    made->path = memory_text(path);
    made->kind = kind;
    made->options = *options;
    if (made->options.json_key == NULL) {
        made->options.json_key = "text";
    }
    made->counts.invalid_offset = -1;
    const enum status status = corpus_stream_open(&made->stream, path, error);
    if (status != STATUS_OK) {
        corpus_text_close(made);
        return status;
    }
    *reader = made;
    return STATUS_OK;
}

void corpus_text_close(struct corpus_text *reader)
{
    if (reader == NULL) {
        return;
    }
    corpus_stream_close(reader->stream);
    json_decref(reader->root);
    memory_release(reader->document);
    memory_release(reader->repaired);
    memory_release(reader->buffer);
    memory_release(reader->path);
    memory_release(reader);
}

/* Keeps what is too much of `document` in reader->rest; both stay valid until new text is read. */
static void text_cut_document(struct corpus_text *reader, struct corpus_document *document)
{
    reader->rest = (struct corpus_document){0};
    if (document->size_bytes <= CORPUS_DOCUMENT_BYTES_MAX) {
        return;
    }
    const char *const limit = document->text + CORPUS_DOCUMENT_BYTES_MAX;
    const char *end = memrchr(document->text, '\n', CORPUS_DOCUMENT_BYTES_MAX);
    if (end == NULL) {
        end = memrchr(document->text, ' ', CORPUS_DOCUMENT_BYTES_MAX);
    }
    const char *begin = end == NULL ? NULL : end + 1; /* what ended the part is in neither */
    if (end == NULL || end == document->text) {
        end = limit;
        while (((unsigned char)*end & 0xc0) == 0x80) { /* not inside a character */
            end--;
        }
        begin = end;
    }
    const size_t taken = (size_t)(begin - document->text);
    reader->rest = (struct corpus_document){begin, document->size_bytes - taken};
    document->size_bytes = (size_t)(end - document->text);
}

enum status corpus_text_next(struct corpus_text *reader, struct corpus_document *document,
                             bool *found, struct error *error)
{
    if (reader->rest.size_bytes > 0) {
        *document = reader->rest;
        *found = true;
    } else {
        TRY(reader->kind == TEXT_KIND_JSON ? text_next_object(reader, document, found, error)
                                           : text_next_paragraphs(reader, document, found, error));
    }
    if (*found) {
        text_cut_document(reader, document);
        reader->counts.documents++;
    }
    return STATUS_OK;
}

struct corpus_text_counts corpus_text_counts(const struct corpus_text *reader)
{
    return reader->counts;
}

int64_t corpus_text_position(const struct corpus_text *reader)
{
    return corpus_stream_position(reader->stream);
}
