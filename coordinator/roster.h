/* All workers of a job as the coordinator sees them: who is ready, who is silent, who is slow.
 * Every limit on waiting for a worker is kept here, and whoever breaks one is named. */
#ifndef SHARDLM_COORDINATOR_ROSTER_H
#define SHARDLM_COORDINATOR_ROSTER_H

#include <stdbool.h>

#include "base/error.h"
#include "coordinator/member.h"
#include "coordinator/step_record.h"

struct roster {
    struct member *members; /* by worker */
    int64_t count;
    double silence_seconds; /* a worker not heard of for so long ends the job */
    double wait_seconds;    /* one that does not get on for so much longer ends it too */
};

/* All are absent, and heard of just now. */
void roster_init(struct roster *roster, int64_t count, double silence_seconds, double wait_seconds);
void roster_deinit(struct roster *roster);

bool roster_ready(const struct roster *roster); /* all of them */
/* Have all written their parts of this step's checkpoint, or of a later one? */
bool roster_written(const struct roster *roster, int64_t step);
/* While we did not run ourselves (a suspended machine, a job stopped by a signal), nobody can have
 * been heard: that time is no worker's silence. */
void roster_forgive(struct roster *roster, int64_t pause_ns);

/* STATUS_TIMEOUT if one was silent or stood still for too long; the log then names every worker. */
MUST_CHECK enum status roster_check_silence(const struct roster *roster, struct error *error);
/* STATUS_PEER if a worker's process on `host`, this process's, is gone. */
MUST_CHECK enum status roster_check_deaths(const struct roster *roster, const char *host,
                                           struct error *error);

/* Longest over shortest mean slot time of the last step; 1 if unknown. Neighbours that compute
 * slots together, `team_size` of them, are as slow as the slowest. */
double roster_slowness(const struct roster *roster, int64_t team_size);
/* The figures of a step that are sums over workers. `record->seconds` is known. */
void roster_total(const struct roster *roster, struct step_record *record);

#endif
