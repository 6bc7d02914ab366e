/* Base64 (RFC 4648, with padding), as JSON files carry bytes. */
#ifndef SHARDLM_BASE_BASE64_H
#define SHARDLM_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* False if `text` is no base64. Caller frees *bytes with memory_release. */
MUST_CHECK bool base64_decode(const char *text, size_t text_bytes, char **bytes,
                              size_t *size_bytes);
/* Caller frees it with memory_release. */
char *base64_encode(const char *bytes, size_t size_bytes);

#endif
