/* How far a long piece of work has come: a bar with rate and time left on a terminal (standard
 * error, at most ten times a second), elsewhere one line about every ten seconds. One thread at a
 * time. */
#ifndef SHARDLM_LAUNCH_PROGRESS_H
#define SHARDLM_LAUNCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* borrowed: "train tokenizer" */
    const char *unit; /* borrowed: "MB", "slots" */
    double total;     /* in units; 0: not known */
    double first;     /* where this process began (a resumed run), in units */
    int64_t start_ns;
    int64_t shown_ns; /* 0: nothing shown yet */
    bool terminal;
    bool quiet; /* shows nothing */
};

/* `first`: units that were done before, which do not count for the rate. */
void progress_start(struct progress *progress, const char *what, const char *unit, double first,
                    double total);
/* `done` of `total` units. `note` (may be NULL) follows on the line: "loss 6.12  rate 1.0e-03".
 * Cheap when nothing is due. */
void progress_update(struct progress *progress, double done, const char *note);
/* Shows the last state, with the time taken, and ends the line. */
void progress_end(struct progress *progress, double done, const char *note);

#endif
