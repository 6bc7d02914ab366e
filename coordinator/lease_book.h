/* Who computes which slot of the step in hand. A lease says who, never what: results do not depend
 * on it. Worker w's first slot is always w, so that it can be prepared before the step begins.
 * Static: then w + W, w + 2W, …, known to the worker without asking. Dynamic: whoever asks gets the
 * next one. */
#ifndef SHARDLM_COORDINATOR_LEASE_BOOK_H
#define SHARDLM_COORDINATOR_LEASE_BOOK_H

#include <stdbool.h>
#include <stdint.h>

enum lease_policy { LEASE_POLICY_AUTO, LEASE_POLICY_STATIC, LEASE_POLICY_DYNAMIC };

struct lease_book {
    enum lease_policy policy;
    int64_t worker_count;
    int64_t slots;
    bool dynamic; /* in the step in hand */
    int64_t next; /* next slot to give, dynamic */
};

void lease_book_init(struct lease_book *book, enum lease_policy policy, int64_t worker_count,
                     int64_t slots);
/* Begins a step. `slowness`: longest over shortest mean slot time of the workers in the last step
 * (1 if unknown): from 1.1 on the automatic policy gives leases out dynamically, below 1.05
 * statically again. */
void lease_book_begin(struct lease_book *book, double slowness);
int64_t lease_book_give(struct lease_book *book); /* a slot, or -1: no more */

/* First slot of worker w (-1: none) and the static successor of one of its slots (-1: that was the
 * last). */
int64_t lease_first(int64_t worker, int64_t slots);
int64_t lease_following(int64_t slot, int64_t worker_count, int64_t slots);

#endif
