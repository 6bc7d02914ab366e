/* The simulated cluster: nodes with a link between them that can be cut, jobs as mpirun starts
 * them, and the person who starts the supervisor again. Stands in for launch/mpi_job.h. */
#ifndef SHARDLM_TESTS_SIMULATION_CLUSTER_H
#define SHARDLM_TESTS_SIMULATION_CLUSTER_H

#include "tests/simulation/machine.h"

enum { CLUSTER_RANKS_MAX = 16, CLUSTER_WORD_BYTES = 64 };

struct communicator; /* meeting.c */

struct cluster_job {
    int64_t number;
    int64_t begun_points; /* of the machine, at its begin */
    int64_t count;        /* ranks */
    struct process *ranks[CLUSTER_RANKS_MAX];
    struct process *launcher;
    struct communicator *world;
    bool aborted; /* a rank asked to end all */
    int abort_code;
    int64_t blind_end_ns; /* mpirun does not see before then that ranks elsewhere are gone */
};

/* What a run is like; from the seed. */
struct cluster_shape {
    int64_t nodes;
    int64_t workers; /* of the first start; a multiple of `pipeline` */
    int64_t stage;
    int64_t pipeline;
    int64_t audit_every;
    int64_t steps;
    const char *lease_mode;
    int64_t checkpoint_every, evaluate_every;
    int64_t slots; /* of a step */
    bool resizes;  /* other numbers of workers after the supervisor's end */
};

/* Some number of workers that such a shape may have. */
int64_t cluster_workers(const struct cluster_shape *shape);
void cluster_open(const struct cluster_shape *shape);
const struct cluster_shape *cluster_shape(void);
/* The person: trains, and goes on until the run is done. */
void cluster_begin(void);
struct cluster_job *cluster_job(int64_t number);
struct cluster_job *cluster_newest_job(void); /* or NULL */
struct process *cluster_supervisor(void);     /* the newest; or NULL */
/* All processes there die and its memory is gone; it can be used again at once. */
void cluster_node_lost(int64_t node);
void cluster_power_cut(void);
/* Nothing passes between two nodes for so long. */
void cluster_link_cut(int64_t a, int64_t b, int64_t duration_ns);
/* When the link is whole again; now or earlier: it is. */
int64_t cluster_link_end_ns(int64_t a, int64_t b);

/* How the person's work ended. */
struct cluster_end {
    bool done;                        /* the supervisor said so: exit code 0 */
    int64_t starts;                   /* of the supervisor */
    int64_t jobs;                     /* of mpirun */
    char refusal[MACHINE_TEXT_BYTES]; /* what should not have been refused; or empty */
};
struct cluster_end cluster_end(void);

#endif
