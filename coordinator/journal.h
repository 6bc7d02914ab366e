/* The run's journal: append-only, one JSON object a line, each written at once. */
#ifndef SHARDLM_COORDINATOR_JOURNAL_H
#define SHARDLM_COORDINATOR_JOURNAL_H

#include "base/file.h"
#include "base/json.h"

struct journal {
    struct line_file file; /* closed: lines are made but kept nowhere */
    char *line;            /* the last one; owned */
};

/* `path` NULL: no file. */
MUST_CHECK enum status journal_open(struct journal *journal, const char *path, struct error *error);
void journal_close(struct journal *journal);
/* Adds "time" (UTC), makes a line of `fields` (released here) and appends it. The line stays
 * readable until the next. */
MUST_CHECK enum status journal_add(struct journal *journal, json_t *fields, struct error *error);

enum { JOURNAL_TEXT_BYTES = 512 };

/* What the end of a journal says. */
struct journal_tail {
    int64_t last_step;                /* of the last step's line; 0: none */
    int64_t size_bytes;               /* of the file; 0 if there is none */
    char failure[JOURNAL_TEXT_BYTES]; /* text of the last failure behind `from_bytes`, or empty */
};
struct journal_tail journal_tail(const char *path, int64_t from_bytes);

#endif
