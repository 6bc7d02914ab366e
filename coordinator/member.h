/* One worker as the coordinator sees it. */
#ifndef SHARDLM_COORDINATOR_MEMBER_H
#define SHARDLM_COORDINATOR_MEMBER_H

#include "coordinator/message.h"

enum { MEMBER_HOST_BYTES = 64 };

enum member_state {
    MEMBER_STATE_ABSENT, /* no hello yet */
    MEMBER_STATE_READY,  /* waits for a command */
    MEMBER_STATE_BUSY,   /* has one */
};

struct member {
    enum member_state state;
    char host[MEMBER_HOST_BYTES];
    int64_t process;
    double peak_flops; /* a second, of matrix products, measured at start */
    int64_t heard_ns;  /* when anything came from it last */
    int64_t moved_ns;  /* when what it is doing changed last */
    int32_t phase;     /* from its heartbeats */
    int64_t step, slot;
    struct message ready; /* its last READY */
    int64_t written_step; /* newest step whose parts it has written; -1 */
};

/* Mean seconds a slot took it in its last step; 0 if it had none. */
double member_slot_seconds(const struct member *member);
/* "worker 3 (host h, process 123): compute, step 7, slot 2, silent for 31 s", cut to size_bytes. */
void member_text(const struct member *member, int64_t index, int64_t now_ns, char *text,
                 size_t size_bytes);

#endif
