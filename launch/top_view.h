/* What `shardlm top` shows, made from a job's answer (coordinator/control.h) and the journal's last
 * steps: a text of some lines. Nothing here prints or waits. */
#ifndef SHARDLM_LAUNCH_TOP_VIEW_H
#define SHARDLM_LAUNCH_TOP_VIEW_H

#include "base/json.h"
#include "launch/text.h"

enum { TOP_LOSSES_MAX = 240, TOP_EVENT_BYTES = 256 };

struct top_view {
    const char *run;               /* borrowed */
    double losses[TOP_LOSSES_MAX]; /* of the last steps, oldest first */
    int64_t loss_count;
    int64_t step;                /* newest in the journal; 0: none */
    double tokens_per_second;    /* in it */
    char event[TOP_EVENT_BYTES]; /* newest event that is no routine, empty: none */
    bool blocks;                 /* the terminal shows Unicode blocks */
};

/* For run_journal_read. */
void top_view_take(void *context, const json_t *line);
/* `answer` NULL: no job works on the run. */
void top_view_text(const struct top_view *view, const json_t *answer, struct text *out);
/* One object: the answer (or {"state": "ended", "step"}) with "losses" and "event". Caller owns. */
json_t *top_view_json(const struct top_view *view, const json_t *answer);
/* `count` values as that many columns at most, each a level between the least and the largest. */
void top_view_spark(const double *values, int64_t count, int64_t columns, bool blocks,
                    struct text *out);

#endif
