/* The run's journal: append-only, one JSON object a line, each written at once. Lines that the disk
 * does not take are kept and written with the next. */
#ifndef SHARDLM_COORDINATOR_JOURNAL_H
#define SHARDLM_COORDINATOR_JOURNAL_H

#include "base/json.h"
#include "base/line_file.h"

struct journal {
    struct line_file file; /* closed: lines are made but kept nowhere */
    char *line;            /* the last one; owned */
    char *pending;         /* lines that are not in the file yet; owned */
    size_t pending_bytes;
    size_t pending_capacity;
};

/* `path` NULL: no file. */
MUST_CHECK enum status journal_open(struct journal *journal, const char *path, struct error *error);
void journal_close(struct journal *journal);
/* Adds "time" (UTC), makes a line of `fields` (released here) and appends it. The line stays
 * readable until the next. Where it cannot be written it is kept for the next call, up to
 * JOURNAL_PENDING_BYTES_MAX; then the newest lines are lost. */
MUST_CHECK enum status journal_add(struct journal *journal, json_t *fields, struct error *error);

enum { JOURNAL_TEXT_BYTES = 512, JOURNAL_PENDING_BYTES_MAX = 16 << 20 };

/* What the end of a journal says. */
struct journal_tail {
    int64_t last_step;    /* of the last step's line; 0: none */
    bool stepped;         /* a step was done behind `from_bytes` */
    int64_t workers_next; /* the last job behind `from_bytes` ended for so many; 0: none */
    int64_t size_bytes;   /* of the file; 0 if there is none */
    char failure[JOURNAL_TEXT_BYTES]; /* text of the last failure behind `from_bytes`, or empty */
};
struct journal_tail journal_tail(const char *path, int64_t from_bytes);

/* How the job that writes a journal stands, by its last line behind `from_bytes`. */
enum journal_state {
    JOURNAL_STATE_SILENT, /* no line yet */
    JOURNAL_STATE_OPEN,   /* it is at work, or was killed */
    JOURNAL_STATE_LOST,   /* a process of it died or left: the rest is being ended */
    JOURNAL_STATE_CLOSED, /* it has ended or failed in order */
};
enum journal_state journal_state(const char *path, int64_t from_bytes);

#endif
