/* What a person sees of a run: a bar with the newest step on a terminal; elsewhere a line a step,
 * at most one a second. */
#ifndef SHARDLM_LAUNCH_RUN_VIEW_H
#define SHARDLM_LAUNCH_RUN_VIEW_H

#include "coordinator/coordinator.h"
#include "launch/progress.h"

struct run_view {
    struct progress progress;
    bool begun;
    bool terminal;
    int64_t shown_ns;
    double seconds; /* of steps so far */
    int64_t steps;  /* seen */
};

void run_view_init(struct run_view *view);
struct coordinator_listener run_view_listener(struct run_view *view); /* borrows the view */
void run_view_end(struct run_view *view);

#endif
