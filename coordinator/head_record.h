/* What the heads beside that for tokens did in a step or an evaluation: from a worker's READY to
 * the journal's line. */
#ifndef SHARDLM_COORDINATOR_HEAD_RECORD_H
#define SHARDLM_COORDINATOR_HEAD_RECORD_H

#include "base/json.h"
#include "coordinator/message.h"

struct head_record {
    double loss; /* nats per prediction */
    double accuracy;
    int64_t count; /* predictions; 0: the family has no such head, and nothing is written of it */
};

struct head_records {
    struct head_record pairs; /* next sentence or sentence order */
    struct head_record spans; /* tokens from the boundaries of their span */
};

struct head_records heads_gather(const struct message *ready);
/* Adds their fields to a line. */
void heads_note(json_t *line, const struct head_records *heads);

#endif
