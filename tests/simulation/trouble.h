/* What goes wrong in a simulated run: chosen from the seed, and done when the run comes to the
 * point chosen for it. */
#ifndef SHARDLM_TESTS_SIMULATION_TROUBLE_H
#define SHARDLM_TESTS_SIMULATION_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

enum trouble_kind {
    TROUBLE_WORKER,      /* one is killed */
    TROUBLE_COORDINATOR, /* is killed */
    TROUBLE_LAUNCHER,    /* mpirun is killed */
    TROUBLE_SUPERVISOR,  /* is killed */
    TROUBLE_NODE,        /* all its processes and its memory are lost */
    TROUBLE_POWER,       /* all nodes and what was not flushed */
    TROUBLE_STANDSTILL,  /* a process stops and goes on later (SIGSTOP) */
    TROUBLE_LINK,        /* nothing passes between two nodes for a while */
    TROUBLE_STOP,        /* the supervisor is asked to stop */
    TROUBLE_DISK,        /* writes fail for a while */
    TROUBLE_FLIP,        /* a bit of a checkpoint flips */
    TROUBLE_KINDS,
};
const char *trouble_name(enum trouble_kind kind);

/* `count` troubles; `kind` below TROUBLE_KINDS: only that one. */
void trouble_open(int64_t count, int64_t kind);
void trouble_end(void); /* nothing goes wrong any more */
int64_t trouble_done(enum trouble_kind kind);
int64_t trouble_total(void); /* including messages */

/* Has anything happened since this was asked last that excuses more than one step done again? */
bool trouble_excuse(void);
void trouble_excuse_add(void);
bool trouble_touched_disk(void);    /* a write failed, ever */
bool trouble_touched_journal(void); /* lines of the journal may be gone, ever */

/* Of the network, for each record. */
bool trouble_loses(void);
int64_t trouble_travel_ns(int64_t usual_ns);
/* How long a process that was killed keeps its files and locks. */
int64_t trouble_linger_ns(void);

#endif
