/* The bytes of a file, plain or compressed (.gz: gzip members, .zst: Zstandard frames; several in a row are one
 * text). The name says which, and the first bytes must agree. Compression that is damaged or ends early is an error
 * that names the file and the byte of the compressed file. Memory: the decoder's window (at most 128 MiB, usually
 * under 10 MiB) and one input piece. */
#ifndef SHARDLM_DATA_PIPELINE_CORPUS_STREAM_H
#define SHARDLM_DATA_PIPELINE_CORPUS_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct corpus_stream;

/* STATUS_FORMAT if the first bytes are not those of the kind that the name promises. */
MUST_CHECK enum status corpus_stream_open(struct corpus_stream **stream, const char *path,
                                          struct error *error);
void corpus_stream_close(struct corpus_stream *stream); /* accepts NULL */
/* Fills `data` but for the last piece: *got < size_bytes says that the end was reached. */
MUST_CHECK enum status corpus_stream_read(struct corpus_stream *stream, void *data,
                                          size_t size_bytes, size_t *got, struct error *error);
int64_t corpus_stream_position(const struct corpus_stream *stream); /* bytes of the file read so far */

#endif
