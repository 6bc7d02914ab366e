/* Places in a job at which a test may have a process killed, by name. A fault is "POINT:STEP:WHO",
 * WHO a worker's number or "coordinator"; the process kills itself with SIGKILL when it comes
 * there. "POINT:STEP:WHO:still": it stops instead (SIGSTOP) and stands still. Nothing here reads
 * the environment: launch/ does. */
#ifndef SHARDLM_BASE_FAULT_H
#define SHARDLM_BASE_FAULT_H

#include "base/error.h"

/* In the order of a step, then of a checkpoint. */
#define FAULT_POINTS(X)                                                                            \
    X(STEP_BEGIN, "step-begin")           /* told to begin; nothing computed */                    \
    X(SLOT_COMPUTED, "slot-computed")     /* one slot is in the sums */                            \
    X(SUMS_COMPLETE, "sums-complete")     /* all slots of all nodes are */                         \
    X(NORMS_WRITTEN, "norms-written")     /* of the blocks owned here */                           \
    X(STEP_READY, "step-ready")           /* this node is marked ready, others may not be */       \
    X(TOTALS_KNOWN, "totals-known")       /* all nodes are marked ready */                         \
    X(UPDATE_SAVED, "update-saved")       /* a chunk's new values are in the record */             \
    X(UPDATE_TORN, "update-torn")         /* and a half of them in place */                        \
    X(UPDATE_APPLIED, "update-applied")   /* and all of them, but not counted */                   \
    X(UPDATE_COUNTED, "update-counted")   /* and counted */                                        \
    X(UPDATE_COMPLETE, "update-complete") /* all chunks of this owner are new */                   \
    X(SUMS_CLEARED, "sums-cleared")                                                                \
    X(WEIGHTS_GATHERED, "weights-gathered") /* of other nodes */                                   \
    X(STEP_DONE, "step-done")               /* marked done; counters not cleared */                \
    X(STEP_CLEARED, "step-cleared")                                                                \
    X(STEP_TOLD, "step-told")           /* the coordinator knows */                                \
    X(STEP_COMMANDED, "step-commanded") /* coordinator: the command is sent */                     \
    X(STEP_JOURNALED, "step-journaled") /* coordinator: the line is written */                     \
    X(SAVE_BEGIN, "save-begin")         /* the folder may exist */                                 \
    X(SAVE_TAKEN, "save-taken")         /* the snapshot is taken */                                \
    X(SAVE_PART, "save-part")           /* background: before a part is written */                 \
    X(SAVE_WRITTEN, "save-written")     /* background: this worker's parts are written */          \
    X(PUBLISH_BEGIN, "publish-begin")                                                              \
    X(PUBLISH_DONE, "publish-done") /* the folder has its name; older ones not removed */          \
    X(PUBLISH_CLEANED, "publish-cleaned")

enum fault_point {
#define X(name, text) FAULT_POINT_##name,
    FAULT_POINTS(X)
#undef X
        FAULT_POINT_COUNT,
};

enum { FAULT_COORDINATOR = -1 };

struct fault {
    enum fault_point point;
    int64_t step;
    int64_t worker; /* or FAULT_COORDINATOR */
    bool still;     /* stops instead of dying */
};

const char *fault_point_name(enum fault_point point);
MUST_CHECK enum status fault_parse(struct fault *fault, const char *text, struct error *error);
/* If `fault` (of this process, or NULL) names this point and step: does not return, or, if it
 * stands still, not before somebody continues the process. */
void fault_reach(const struct fault *fault, enum fault_point point, int64_t step);

#endif
