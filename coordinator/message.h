/* What coordinator and workers say to each other: one fixed-size record, version and kind first.
 * Little-endian hosts only (checked at build). A record of another size, version or kind, or with
 * fields out of range, is dropped and counted by the receiver, never trusted.
 *
 * The channel writes `session`, a number drawn anew for every start of a job, and `sequence`, which
 * rises with everything that one end sends to another: a record of another session, or one that
 * came already, is dropped as well. The coordinator numbers its commands in `order`, and READY
 * repeats that of the command it answers: an answer to another command changes nothing. */
#ifndef SHARDLM_COORDINATOR_MESSAGE_H
#define SHARDLM_COORDINATOR_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MESSAGE_MAGIC = 0x314d4c53 /* "SLM1" */, MESSAGE_VERSION = 3, MESSAGE_TEXT_BYTES = 512 };
enum { MESSAGE_VALUES = 16, MESSAGE_REALS = 12, MESSAGE_FINGERPRINT_BYTES = 40 };

enum message_kind {
    /* worker to coordinator */
    MESSAGE_KIND_HELLO = 1, /* text: host; values[0]: process id; values[1]: a profile change was
                               accepted; reals[0]: matrix-multiply peak, flop/s */
    MESSAGE_KIND_HEARTBEAT, /* phase, step, slot */
    MESSAGE_KIND_ASK,       /* one more slot of `step`, please */
    MESSAGE_KIND_READY,  /* the last command is done; fields by enum message_value, message_real */
    MESSAGE_KIND_FAILED, /* text: why; values[0]: enum status. The job ends. */
    /* coordinator to worker */
    MESSAGE_KIND_STEP,     /* compute step `step`; values[0]: leases are dynamic */
    MESSAGE_KIND_LEASE,    /* slot `slot` of `step` is yours; -1: no more */
    MESSAGE_KIND_EVALUATE, /* held-out slots, shared out by index */
    MESSAGE_KIND_SAVE,     /* take a snapshot and write it in the background */
    MESSAGE_KIND_DRAIN,    /* wait until nothing is being written, or for as long as is allowed */
    MESSAGE_KIND_END,      /* leave; values[0]: 1: the next job goes on with what is in memory */
    /* operator to coordinator; `step` numbers the request, and the answer repeats it */
    MESSAGE_KIND_STATUS,     /* how does it go? */
    MESSAGE_KIND_CHECKPOINT, /* write one at the next step boundary */
    MESSAGE_KIND_PAUSE,      /* stand still at the next step boundary */
    MESSAGE_KIND_RESUME,     /* go on */
    MESSAGE_KIND_STOP,       /* write a checkpoint at the next step boundary and end */
    MESSAGE_KIND_WORKERS,    /* the same, to be started again with values[0] workers */
    /* coordinator to operator; JSON follows as a frame of its own */
    MESSAGE_KIND_ANSWER,
    MESSAGE_KIND_COUNT,
};

/* What a worker is doing, for reports on hangs. */
enum message_phase {
    MESSAGE_PHASE_START,
    MESSAGE_PHASE_IDLE,
    MESSAGE_PHASE_DATA,
    MESSAGE_PHASE_COMPUTE,
    MESSAGE_PHASE_REDUCE,
    MESSAGE_PHASE_UPDATE,
    MESSAGE_PHASE_EVALUATE,
    MESSAGE_PHASE_SNAPSHOT,
    MESSAGE_PHASE_DRAIN,
    MESSAGE_PHASE_COUNT,
};
const char *message_phase_name(int32_t phase); /* "compute"; "unknown" outside the range */

/* Fields of READY. Totals and the fingerprint come from worker 0 alone; the rest from each worker.
 */
enum message_value {
    MESSAGE_VALUE_WRITTEN,      /* step whose parts this worker has written completely; -1: none */
    MESSAGE_VALUE_PUBLISHED,    /* step that worker 0 published last; -1: none */
    MESSAGE_VALUE_WRITE_FAILED, /* step whose writing failed here; -1: none (text says why, kind
                                   SAVE/DRAIN replies) */
    MESSAGE_VALUE_SLOTS,        /* slots computed here in this step */
    MESSAGE_VALUE_TARGETS,      /* predicted tokens of the step or evaluation */
    MESSAGE_VALUE_CORRECT,
    MESSAGE_VALUE_TOKENS,
    MESSAGE_VALUE_PAIRS, /* labelled sequences */
    MESSAGE_VALUE_PAIRS_CORRECT,
    MESSAGE_VALUE_SPANS, /* tokens predicted from the boundaries of their span */
    MESSAGE_VALUE_SPANS_CORRECT,
    MESSAGE_VALUE_PRIVATE, /* bytes: peak resident memory of this worker without what is shared */
    MESSAGE_VALUE_SHARED,  /* bytes: shared memory of its node, from the node's first worker */
    MESSAGE_VALUE_SKIPPED, /* 1: the step's numbers were bad, weights are as they were; text: why */
    MESSAGE_VALUE_WRITING, /* 1: a checkpoint is being written here just now */
    MESSAGE_VALUE_AUDITED, /* 1 + slot that two workers computed with the same bits; 0: none */
};
enum message_real {
    MESSAGE_REAL_LOSS,      /* mean, nats per predicted token */
    MESSAGE_REAL_PAIR_LOSS, /* mean, nats per labelled sequence */
    MESSAGE_REAL_SPAN_LOSS, /* mean, nats per token predicted so */
    MESSAGE_REAL_RATE,      /* learning rate */
    MESSAGE_REAL_NORM,      /* gradient norm before clipping */
    MESSAGE_REAL_COMPUTE,   /* seconds in forward and backward here */
    MESSAGE_REAL_WAIT,      /* seconds waiting for data, leases or others here */
    MESSAGE_REAL_FLOPS,     /* useful floating-point operations done here */
    MESSAGE_REAL_EXACT,     /* seconds in exact sums here: adding slots, norms of the sums, clearing
                               them */
};

struct message {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    int32_t worker; /* sender's or receiver's index */
    int32_t phase;
    int64_t step;
    int64_t slot;
    int64_t publish_step; /* commands: worker 0 publishes this step's checkpoint now; -1: none */
    int64_t order;        /* commands, and READY: which command; 0: before the first */
    uint64_t session;
    uint64_t sequence; /* from 1 on */
    int64_t values[MESSAGE_VALUES];
    double reals[MESSAGE_REALS];
    char fingerprint[MESSAGE_FINGERPRINT_BYTES]; /* zero-terminated; state after the step, from
                                                    worker 0 */
    char text[MESSAGE_TEXT_BYTES];               /* zero-terminated */
};

/* Who may say this: a worker of the job, or a person at another shell? Neither: the coordinator. */
bool message_from_worker(const struct message *message);
bool message_from_operator(const struct message *message);

struct message message_make(enum message_kind kind, int64_t worker, int64_t step);
/* Is this record one that may be read? `worker_count` bounds the index. */
bool message_valid(const void *data, size_t size_bytes, int64_t worker_count);

#endif
