/* See corpus_stream.h. The only file that sees zlib and libzstd. */
#include "data_pipeline/corpus_stream.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/memory.h"

enum {
    STREAM_INPUT_BYTES = 1 << 17,
    STREAM_MAGIC_BYTES = 4,
    GZIP_WINDOW_BITS = 15 + 16, /* 16: gzip framing */
};

enum stream_kind { STREAM_KIND_PLAIN, STREAM_KIND_GZIP, STREAM_KIND_ZSTD };

struct corpus_stream {
    enum stream_kind kind;
    char *path;
    struct file_reader file;
    unsigned char *input; /* compressed bytes: input[input_begin .. input_end) are not decoded yet */
    size_t input_begin;
    size_t input_end;
    bool file_ended;
    bool inside; /* within a member or frame: the file must not end here */
    bool zip_live;
    z_stream zip;
    ZSTD_DStream *zstd;
};

static bool name_ends_with(const char *name, const char *ending)
{
    const size_t length = strlen(name);
    const size_t ending_length = strlen(ending);
    return length >= ending_length && strcmp(name + length - ending_length, ending) == 0;
}

static enum status stream_refill(struct corpus_stream *stream, struct error *error)
{
    if (stream->input_begin < stream->input_end || stream->file_ended) {
        return STATUS_OK;
    }
    size_t got;
    TRY(file_reader_next(&stream->file, stream->input, STREAM_INPUT_BYTES, &got, error));
    stream->input_begin = 0;
    stream->input_end = got;
    stream->file_ended = got < STREAM_INPUT_BYTES;
    return STATUS_OK;
}

static enum status stream_check_magic(const struct corpus_stream *stream, struct error *error)
{
    static const unsigned char gzip[] = {0x1f, 0x8b};
    static const unsigned char zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    const size_t size = stream->input_end;
    const bool is_gzip = size >= sizeof gzip && memcmp(stream->input, gzip, sizeof gzip) == 0;
    const bool is_zstd = size >= sizeof zstd && memcmp(stream->input, zstd, sizeof zstd) == 0;
    if (stream->kind == STREAM_KIND_GZIP && !is_gzip) {
        FAIL(error, STATUS_FORMAT, "could not read \"%s\": no gzip data at byte 0", stream->path);
    }
    if (stream->kind == STREAM_KIND_ZSTD && !is_zstd) {
        FAIL(error, STATUS_FORMAT, "could not read \"%s\": no zstd data at byte 0", stream->path);
    }
    if (stream->kind == STREAM_KIND_PLAIN && (is_gzip || is_zstd)) {
        FAIL(error, STATUS_FORMAT,
             "could not read \"%s\": %s data under a name that says plain text (add .%s)",
             stream->path, is_gzip ? "gzip" : "zstd", is_gzip ? "gz" : "zst");
    }
    return STATUS_OK;
}

static enum status stream_open_decoder(struct corpus_stream *stream, struct error *error)
{
    if (stream->kind == STREAM_KIND_GZIP) {
        if (inflateInit2(&stream->zip, GZIP_WINDOW_BITS) != Z_OK) {
            FAIL(error, STATUS_INTERNAL, "could not start zlib for \"%s\"", stream->path);
        }
        stream->zip_live = true;
    } else if (stream->kind == STREAM_KIND_ZSTD) {
        stream->zstd = ZSTD_createDStream();
        if (stream->zstd == NULL) {
            FAIL(error, STATUS_INTERNAL, "could not start zstd for \"%s\"", stream->path);
        }
    }
    return STATUS_OK;
}

enum status corpus_stream_open(struct corpus_stream **stream, const char *path, struct error *error)
{
    struct corpus_stream *const made = memory_take(1, sizeof *made, "corpus stream");
    made->file.descriptor = -1;
    made->path = memory_text(path);
    made->input = memory_take(STREAM_INPUT_BYTES, 1, "corpus stream");
    made->kind = name_ends_with(path, ".gz")    ? STREAM_KIND_GZIP
                 : name_ends_with(path, ".zst") ? STREAM_KIND_ZSTD
                                                : STREAM_KIND_PLAIN;
    enum status status = file_reader_open(&made->file, made->path, error);
    if (status == STATUS_OK) {
        status = stream_refill(made, error);
    }
    if (status == STATUS_OK) {
        status = stream_check_magic(made, error);
    }
    if (status == STATUS_OK) {
        status = stream_open_decoder(made, error);
    }
    if (status != STATUS_OK) {
        corpus_stream_close(made);
        return status;
    }
    *stream = made;
    return STATUS_OK;
}

void corpus_stream_close(struct corpus_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    if (stream->zip_live) {
        (void)inflateEnd(&stream->zip);
    }
    (void)ZSTD_freeDStream(stream->zstd);
    file_reader_close(&stream->file);
    memory_release(stream->input);
    memory_release(stream->path);
    memory_release(stream);
}

int64_t corpus_stream_position(const struct corpus_stream *stream)
{
    return stream->file.position_bytes - (int64_t)(stream->input_end - stream->input_begin);
}

static size_t stream_copy(struct corpus_stream *stream, void *out, size_t capacity)
{
    const size_t available = stream->input_end - stream->input_begin;
    const size_t count = available < capacity ? available : capacity;
    memcpy(out, stream->input + stream->input_begin, count);
    stream->input_begin += count;
    return count;
}

static enum status stream_inflate(struct corpus_stream *stream, void *out, size_t capacity,
                                  size_t *produced, struct error *error)
{
    z_stream *const zip = &stream->zip;
    if (!stream->inside) {
        (void)inflateReset(zip);
        stream->inside = true;
    }
    const uInt limit = capacity > STREAM_INPUT_BYTES ? (uInt)STREAM_INPUT_BYTES : (uInt)capacity;
    zip->next_in = stream->input + stream->input_begin;
    zip->avail_in = (uInt)(stream->input_end - stream->input_begin);
    zip->next_out = out;
    zip->avail_out = limit;
    const int result = inflate(zip, Z_NO_FLUSH);
    stream->input_begin = stream->input_end - zip->avail_in;
    *produced = limit - zip->avail_out;
    if (result == Z_STREAM_END) {
        stream->inside = false;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        FAIL(error, STATUS_FORMAT, "could not decompress \"%s\" near byte %lld: %s", stream->path,
             (long long)corpus_stream_position(stream), zip->msg == NULL ? "bad data" : zip->msg);
    }
    return STATUS_OK;
}

static enum status stream_unpack_zstd(struct corpus_stream *stream, void *out, size_t capacity,
                                      size_t *produced, struct error *error)
{
    ZSTD_inBuffer source = {stream->input, stream->input_end, stream->input_begin};
    ZSTD_outBuffer target = {out, capacity, 0};
    const size_t result = ZSTD_decompressStream(stream->zstd, &target, &source);
    stream->input_begin = source.pos;
    *produced = target.pos;
    if (ZSTD_isError(result)) {
        FAIL(error, STATUS_FORMAT, "could not decompress \"%s\" near byte %lld: %s", stream->path,
             (long long)corpus_stream_position(stream), ZSTD_getErrorName(result));
    }
    stream->inside = result != 0;
    return STATUS_OK;
}

/* One call of the decoder; *produced may be 0 while there is still input. */
static enum status stream_decode(struct corpus_stream *stream, void *out, size_t capacity,
                                 size_t *produced, struct error *error)
{
    switch (stream->kind) {
    case STREAM_KIND_GZIP:
        return stream_inflate(stream, out, capacity, produced, error);
    case STREAM_KIND_ZSTD:
        return stream_unpack_zstd(stream, out, capacity, produced, error);
    case STREAM_KIND_PLAIN:
        break;
    }
    *produced = stream_copy(stream, out, capacity);
    return STATUS_OK;
}

enum status corpus_stream_read(struct corpus_stream *stream, void *data, size_t size_bytes,
                               size_t *got, struct error *error)
{
    *got = 0;
    while (*got < size_bytes) {
        TRY(stream_refill(stream, error));
        const bool input_left = stream->input_begin < stream->input_end;
        if (!input_left && !stream->inside) {
            break;
        }
        size_t produced = 0;
        TRY(stream_decode(stream, (char *)data + *got, size_bytes - *got, &produced, error));
        *got += produced;
        if (!input_left && produced == 0 && stream->inside) {
            FAIL(error, STATUS_FORMAT, "could not decompress \"%s\": it ends early, at byte %lld",
                 stream->path, (long long)corpus_stream_position(stream));
        }
    }
    return STATUS_OK;
}
