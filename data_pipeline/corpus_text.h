/* Documents of text files. By name: .txt (one paragraph a line, blank lines between documents; a
 * document is its lines joined by U+000A) and .jsonl (one JSON object a line, its text under a
 * key), each plain, .gz or .zst. A line of spaces and tabs only is blank; CR before LF and a byte
 * order mark are dropped. Text is checked to be UTF-8; offsets in messages are those of the
 * decompressed text. Bounded memory: a document longer than CORPUS_DOCUMENT_BYTES_MAX goes on as a new
 * document, cut at the end of a line, or of a word, or of a character; a line longer than
 * CORPUS_LINE_BYTES_MAX is STATUS_LIMIT. Not thread-safe: one reader, one thread. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_TEXT_H
#define SHARDLM_DATA_PIPELINE_CORPUS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    CORPUS_LINE_BYTES_MAX = 8 << 20,
    CORPUS_DOCUMENT_BYTES_MAX = 4 << 20,
};

enum corpus_utf8 {
    CORPUS_UTF8_REFUSE,  /* STATUS_FORMAT with file and byte offset */
    CORPUS_UTF8_REPLACE, /* each ill-formed part becomes U+FFFD */
    CORPUS_UTF8_SKIP,    /* the document is dropped */
};

struct corpus_text_options {
    const char *json_key; /* NULL: "text"; borrowed until close */
    enum corpus_utf8 invalid_utf8;
};

struct corpus_text_counts {
    int64_t documents;         /* returned */
    int64_t documents_skipped; /* dropped for invalid UTF-8 */
    int64_t lines_repaired;    /* lines with at least one U+FFFD put in */
    int64_t invalid_offset;    /* of the first ill-formed byte in this file, -1 if none */
};

struct corpus_document {
    const char *text; /* borrowed until the next call */
    size_t size_bytes;
};

struct corpus_text;

/* Does the name say that the file is one of the kinds above? */
bool corpus_text_accepts(const char *path);
/* STATUS_INPUT if it does not, or if there is no such file. */
MUST_CHECK enum status corpus_text_open(struct corpus_text **reader, const char *path,
                                        const struct corpus_text_options *options,
                                        struct error *error);
void corpus_text_close(struct corpus_text *reader); /* accepts NULL */
/* The next document that is not empty; *found is false at the end. */
MUST_CHECK enum status corpus_text_next(struct corpus_text *reader,
                                        struct corpus_document *document, bool *found,
                                        struct error *error);
struct corpus_text_counts corpus_text_counts(const struct corpus_text *reader);
int64_t corpus_text_position(const struct corpus_text *reader); /* bytes of the file read so far */

#endif
