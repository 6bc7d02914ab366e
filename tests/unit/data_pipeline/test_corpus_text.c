/* data_pipeline/corpus_text and corpus_stream: documents of every kind of file, and what is
 * refused. */
#include "data_pipeline/corpus_text.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "data_pipeline/utf8.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { TEXT_BYTES = 8192 };

/* All documents of a file, each followed by '|'. */
static enum status read_all(const char *path, enum corpus_utf8 policy, char out[TEXT_BYTES],
                            struct corpus_text_counts *counts, struct error *error)
{
    const struct corpus_text_options options = {.invalid_utf8 = policy};
    struct corpus_text *reader;
    TRY(corpus_text_open(&reader, path, &options, error));
    size_t size = 0;
    bool found = true;
    enum status status = STATUS_OK;
    while (found && status == STATUS_OK) {
        struct corpus_document document;
        status = corpus_text_next(reader, &document, &found, error);
        if (status == STATUS_OK && found) {
            ck_assert_uint_lt(size + document.size_bytes + 2, TEXT_BYTES);
            memcpy(out + size, document.text, document.size_bytes);
            size += document.size_bytes;
            out[size++] = '|';
        }
    }
    out[size] = '\0';
    *counts = corpus_text_counts(reader);
    corpus_text_close(reader);
    return status;
}

static void check_documents(const char *name, const char *content, size_t size_bytes,
                            const char *expected)
{
    char path[PATH_BYTES];
    char out[TEXT_BYTES];
    struct corpus_text_counts counts;
    struct error error;
    (void)fixture_write(path, name, content, size_bytes);
    CHECK_OK(read_all(path, CORPUS_UTF8_REFUSE, out, &counts, &error), error);
    ck_assert_str_eq(out, expected);
}

static void check_refused(const char *name, const void *content, size_t size_bytes,
                          const char *in_message)
{
    char path[PATH_BYTES];
    char out[TEXT_BYTES];
    struct corpus_text_counts counts;
    struct error error = {0};
    (void)fixture_write(path, name, content, size_bytes);
    CHECK_FAILS(read_all(path, CORPUS_UTF8_REFUSE, out, &counts, &error), STATUS_FORMAT);
    ck_assert_msg(strstr(error.message, in_message) != NULL, "%s", error.message);
    ck_assert_msg(strstr(error.message, name) != NULL, "%s", error.message);
}

static const char PROSE[] = "one\ntwo\n\nthree\n";

static size_t gzip_pack(const char *text, size_t size_bytes, unsigned char *out, size_t capacity)
{
    z_stream zip = {0};
    ck_assert_int_eq(deflateInit2(&zip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    unsigned char source[TEXT_BYTES];
    memcpy(source, text, size_bytes);
    zip.next_in = source;
    zip.avail_in = (uInt)size_bytes;
    zip.next_out = out;
    zip.avail_out = (uInt)capacity;
    ck_assert_int_eq(deflate(&zip, Z_FINISH), Z_STREAM_END);
    const size_t size = capacity - zip.avail_out;
    ck_assert_int_eq(deflateEnd(&zip), Z_OK);
    return size;
}

static size_t zstd_pack(const char *text, size_t size_bytes, unsigned char *out, size_t capacity)
{
    ZSTD_CCtx *const context = ZSTD_createCCtx();
    ck_assert(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)));
    const size_t size = ZSTD_compress2(context, out, capacity, text, size_bytes);
    ck_assert(!ZSTD_isError(size));
    (void)ZSTD_freeCCtx(context);
    return size;
}

START_TEST(test_corpus_text_joins_lines_and_ends_documents_at_blank_lines)
{
    check_documents("plain.txt", PROSE, strlen(PROSE), "one\ntwo|three|");
    check_documents("empty.txt", "", 0, "");
    check_documents("blank.txt", "\n\n \t\n\n", 6, "");
    check_documents("no-end.txt", "\n\na\n \t \nb", 9, "a|b|");
}
END_TEST

START_TEST(test_corpus_text_drops_carriage_returns_and_the_byte_order_mark)
{
    const char text[] = "\xef\xbb\xbfone\r\ntwo\r\n\r\nthree\r\n";
    check_documents("dos.txt", text, strlen(text), "one\ntwo|three|");
}
END_TEST

START_TEST(test_corpus_text_reads_the_text_key_of_json_lines)
{
    const char text[] =
        "{\"text\": \"a\\nb\"}\n\n{\"n\": 1, \"text\": \"c \\u00e9\"}\r\n{\"text\": \"\"}\n";
    check_documents("lines.jsonl", text, strlen(text), "a\nb|c \xc3\xa9|");
    check_refused("key.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\"}\n", 28, "line 2 at byte 14");
    check_refused("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n", 24, "line 2 at byte 14");
    check_refused("list.jsonl", "[1]\n", 4, "line 1 at byte 0");
}
END_TEST

START_TEST(test_corpus_text_reads_compressed_files_of_several_members)
{
    unsigned char packed[TEXT_BYTES];
    size_t size = gzip_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    size += gzip_pack("four\n", 5, packed + size, sizeof packed - size);
    check_documents("prose.txt.gz", (char *)packed, size, "one\ntwo|three\nfour|");
    size = zstd_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    size += zstd_pack("four\n", 5, packed + size, sizeof packed - size);
    check_documents("prose.txt.zst", (char *)packed, size, "one\ntwo|three\nfour|");
}
END_TEST

START_TEST(test_corpus_text_refuses_compression_cut_at_any_byte)
{
    unsigned char packed[TEXT_BYTES];
    const size_t gzip_size = gzip_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    for (size_t size = 0; size < gzip_size; size++) {
        check_refused("cut.txt.gz", packed, size, "byte");
    }
    const size_t zstd_size = zstd_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    for (size_t size = 0; size < zstd_size; size++) {
        check_refused("cut.txt.zst", packed, size, "byte");
    }
}
END_TEST

START_TEST(test_corpus_text_refuses_damaged_and_foreign_compression)
{
    unsigned char packed[TEXT_BYTES];
    size_t size = gzip_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    check_refused("gzip.txt", packed, size, "gzip data under a name");
    check_refused("gzip.txt.zst", packed, size, "no zstd data at byte 0");
    packed[size - 6] ^= 1; /* the checksum of gzip's trailer */
    check_refused("bad.txt.gz", packed, size, "near byte");
    size = zstd_pack(PROSE, strlen(PROSE), packed, sizeof packed);
    packed[size - 1] ^= 1; /* the frame's checksum */
    check_refused("bad.txt.zst", packed, size, "near byte");
    check_refused("plain.txt.gz", PROSE, strlen(PROSE), "no gzip data at byte 0");
}
END_TEST

static const char BROKEN[] = "good\n\nbad \xff\xc3\x28 end\nmore\n\nlast\n";

START_TEST(test_corpus_text_names_the_byte_of_invalid_utf8)
{
    check_refused("broken.txt", BROKEN, strlen(BROKEN), "invalid UTF-8 at byte 10 (line 3)");
    unsigned char packed[TEXT_BYTES];
    const size_t size = gzip_pack(BROKEN, strlen(BROKEN), packed, sizeof packed);
    check_refused("broken.txt.gz", packed, size, "invalid UTF-8 at byte 10 ");
}
END_TEST

START_TEST(test_corpus_text_replaces_or_skips_invalid_utf8_by_choice)
{
    char path[PATH_BYTES];
    char out[TEXT_BYTES];
    struct corpus_text_counts counts;
    struct error error;
    (void)fixture_write(path, "repair.txt", BROKEN, strlen(BROKEN));
    CHECK_OK(read_all(path, CORPUS_UTF8_REPLACE, out, &counts, &error), error);
    ck_assert_str_eq(out, "good|bad \xef\xbf\xbd\xef\xbf\xbd( end\nmore|last|");
    ck_assert_int_eq(counts.lines_repaired, 1);
    ck_assert_int_eq(counts.invalid_offset, 10);
    CHECK_OK(read_all(path, CORPUS_UTF8_SKIP, out, &counts, &error), error);
    ck_assert_str_eq(out, "good|last|");
    ck_assert_int_eq(counts.documents_skipped, 1);
}
END_TEST

/* Reads a file of one long document; returns the number of documents or the status's negative. */
static int64_t count_documents(const char *path, struct error *error)
{
    const struct corpus_text_options options = {0};
    struct corpus_text *reader;
    CHECK_OK(corpus_text_open(&reader, path, &options, error), *error);
    int64_t count = 0;
    bool found = true;
    while (found) {
        struct corpus_document document;
        const enum status status = corpus_text_next(reader, &document, &found, error);
        if (status != STATUS_OK) {
            count = -(int64_t)status;
            break;
        }
        ck_assert(!found || document.size_bytes <= CORPUS_DOCUMENT_BYTES_MAX);
        count += found;
    }
    corpus_text_close(reader);
    return count;
}

START_TEST(test_corpus_text_splits_a_long_document_and_refuses_a_long_line)
{
    const size_t size = (size_t)CORPUS_LINE_BYTES_MAX + (1 << 20);
    char *const text = memory_take(size, 1, "test");
    char path[PATH_BYTES];
    struct error error;
    memset(text, 'x', size);
    for (size_t i = 999; i < size; i += 1000) {
        text[i] = '\n';
    }
    (void)fixture_write(path, "long.txt", text, size);
    ck_assert_int_eq(count_documents(path, &error), 3);
    memset(text, 'x', size);
    (void)fixture_write(path, "long-line.txt", text, size);
    ck_assert_int_eq(count_documents(path, &error), -(int64_t)STATUS_LIMIT);
    ck_assert(strstr(error.message, "the line at byte 0 is longer") != NULL);
    memory_release(text);
}
END_TEST

/* The parts of one document of `size` bytes, put together again with `joint` between them. */
static void check_parts(const char *path, const char *text, size_t size, const char *joint)
{
    const struct corpus_text_options options = {0};
    struct corpus_text *reader;
    struct error error;
    CHECK_OK(corpus_text_open(&reader, path, &options, &error), error);
    size_t at = 0;
    for (int part = 0; at < size; part++) {
        struct corpus_document document;
        bool found;
        CHECK_OK(corpus_text_next(reader, &document, &found, &error), error);
        ck_assert(found && document.size_bytes <= CORPUS_DOCUMENT_BYTES_MAX);
        if (part > 0) {
            ck_assert(size - at >= strlen(joint) && memcmp(text + at, joint, strlen(joint)) == 0);
            at += strlen(joint);
        }
        ck_assert_uint_eq(utf8_valid_prefix(document.text, document.size_bytes),
                          document.size_bytes);
        ck_assert(size - at >= document.size_bytes &&
                  memcmp(text + at, document.text, document.size_bytes) == 0);
        at += document.size_bytes;
    }
    struct corpus_document document;
    bool found;
    CHECK_OK(corpus_text_next(reader, &document, &found, &error), error);
    ck_assert(!found);
    corpus_text_close(reader);
}

START_TEST(test_corpus_text_cuts_a_long_line_between_words_or_characters)
{
    enum { SIZE = CORPUS_DOCUMENT_BYTES_MAX + (1 << 20) };
    char *const text = memory_take(SIZE, 1, "test");
    char path[PATH_BYTES];
    memset(text, 'x', SIZE);
    for (size_t i = 6; i < SIZE; i += 7) {
        text[i] = ' ';
    }
    check_parts(fixture_write(path, "words.txt", text, SIZE), text, SIZE, " ");
    static const char star[] = "\xe2\x98\x85"; /* 4 Mi is no multiple of its three bytes */
    const size_t stars_bytes = SIZE / 3 * 3;
    for (size_t i = 0; i < stars_bytes; i++) {
        text[i] = star[i % 3];
    }
    check_parts(fixture_write(path, "stars.txt", text, stars_bytes), text, stars_bytes, "");
    memory_release(text);
}
END_TEST

START_TEST(test_corpus_text_refuses_names_of_unknown_kind_and_absent_files)
{
    const struct corpus_text_options options = {0};
    struct corpus_text *reader;
    struct error error;
    CHECK_FAILS(corpus_text_open(&reader, "prose.pdf", &options, &error), STATUS_INPUT);
    CHECK_FAILS(corpus_text_open(&reader, "/nowhere/prose.txt", &options, &error), STATUS_INPUT);
    ck_assert(corpus_text_accepts("a.txt") && corpus_text_accepts("b.jsonl.zst"));
    ck_assert(!corpus_text_accepts("a.gz") && !corpus_text_accepts("txt"));
}
END_TEST

int main(void)
{
    return suite_run(
        "corpus_text",
        (const TTest *[]){test_corpus_text_joins_lines_and_ends_documents_at_blank_lines,
                          test_corpus_text_drops_carriage_returns_and_the_byte_order_mark,
                          test_corpus_text_reads_the_text_key_of_json_lines,
                          test_corpus_text_reads_compressed_files_of_several_members,
                          test_corpus_text_refuses_compression_cut_at_any_byte,
                          test_corpus_text_refuses_damaged_and_foreign_compression,
                          test_corpus_text_names_the_byte_of_invalid_utf8,
                          test_corpus_text_replaces_or_skips_invalid_utf8_by_choice,
                          test_corpus_text_splits_a_long_document_and_refuses_a_long_line,
                          test_corpus_text_cuts_a_long_line_between_words_or_characters,
                          test_corpus_text_refuses_names_of_unknown_kind_and_absent_files, NULL});
}
