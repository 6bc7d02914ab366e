/* Known bugs, put into the program on purpose: each changes what one function does, where the
 * linker lets us come between it and its callers. The simulation must find every one of them. */
#ifndef SHARDLM_TESTS_SIMULATION_MUTANT_H
#define SHARDLM_TESTS_SIMULATION_MUTANT_H

#include "coordinator/message.h"

#define MUTANTS(X)                                                                                 \
    X(NONE, "none", "the program as it is")                                                        \
    X(READY_EARLY, "ready-early", "a node is marked ready before all sums are complete")           \
    X(UPDATE_EARLY, "update-early", "owners update before every node is marked ready")             \
    X(LEASE_TWICE, "lease-twice", "after a death a lease is given twice")                          \
    X(PARTS_EARLY, "parts-early", "parts count as written when their writing has only begun")      \
    X(NO_FLUSH, "no-flush", "a checkpoint is published without having been flushed")               \
    X(TORN_RECORD, "torn-record", "memory is trusted with a chunk that is half new")               \
    X(HALF_DONE, "half-done", "a step is marked done before its update is complete")               \
    X(HASTY_RECALL, "hasty-recall", "memory that could not be agreed on is thrown away")           \
    X(TWO_JOBS, "two-jobs", "a run's lock holds nobody off")                                       \
    X(NO_LIMIT, "no-limit", "waits for others have no limit, and nobody looks for silence")

enum mutant {
#define X(name, text, help) MUTANT_##name,
    MUTANTS(X)
#undef X
        MUTANT_COUNT,
};

const char *mutant_name(enum mutant mutant);
const char *mutant_help(enum mutant mutant);
void mutant_choose(enum mutant mutant);
bool mutant_is(enum mutant mutant);
/* A record as a worker sends it. */
struct message mutant_record(const struct message *message);

#endif
