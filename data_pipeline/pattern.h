/* Regular expressions of tokenizer.json, by Oniguruma in Ruby's syntax over UTF-8, which is what
 * Hugging Face's library has them read by. Patterns are foreign: their length and their repeats
 * have limits, and a search that tries too often ends as if nothing more matched. */
#ifndef SHARDLM_DATA_PIPELINE_PATTERN_H
#define SHARDLM_DATA_PIPELINE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct pattern {
    void *regex; /* NULL: none */
};

/* STATUS_FORMAT with Oniguruma's reason; `where` names the file. */
MUST_CHECK enum status pattern_init(struct pattern *pattern, const char *text, size_t size_bytes,
                                    const char *where, struct error *error);
void pattern_deinit(struct pattern *pattern); /* accepts a zeroed struct */

/* Does it match a text without characters? */
bool pattern_matches_nothing(const struct pattern *pattern);

/* All matches in a text, from left to right. */
struct pattern_walk {
    const struct pattern *pattern;
    const char *text; /* valid UTF-8 */
    size_t size_bytes;
    size_t at;
    bool matched; /* once, up to last_end */
    size_t last_end;
    void *region; /* the library's scratch, until the end */
    void *limits;
};
void pattern_walk_init(struct pattern_walk *walk, const struct pattern *pattern, const char *text,
                       size_t size_bytes);
/* The next match, which may be empty (but not where the last one ended); false at the end. Ask
 * until false: that gives the scratch back. */
bool pattern_walk_next(struct pattern_walk *walk, size_t *begin, size_t *end);

#endif
