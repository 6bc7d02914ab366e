/* Rounds of a step where nodes divide the gradient sums (shard/accumulator.h): in which order the
 * sums of groups go between nodes, which of them a worker's next gradient belongs to, and how many
 * gradients of this node are in it. Arithmetic, but for rounds_init.
 *
 * Team w of W computes slot w in its first round, w + W in the second, …; a team without a slot in
 * the last round adds nothing to it. In a round, groups come in the order of backward, from the
 * head to the embeddings. In a pipeline of S sections the last is up to S - 1 slots ahead of the
 * first, and so are the sums of its groups: those of the sections' rounds go in *turns*,
 *
 *     turn        0    1    2    3    4   …
 *     section 2   r0   r1   r2   r3   r4
 *     section 1        r0   r1   r2   r3
 *     section 0             r0   r1   r2
 *
 * within a turn the groups from the head to the embeddings again. This order, the same on every
 * rank, is one in which gradients can come: backward of round r in section s needs nothing but
 * backward of earlier turns (round r in s + 1, whose gradients it goes on with; what freed a set of
 * activations for its forward, at most round r - 1 in s + 1 and r - 2 in s - 1), if that turn is
 * r + S - 1 - s. So whoever waits until sums that stand earlier in the order are through waits for
 * workers that need nothing from it: the earliest sums that are not through are always getting on.
 *
 * Where two sections add to a group (the embeddings, whose table is also the decoder), its turns
 * are those of the lower one. The other is *ahead* by the sections between: what it adds in its
 * round r goes with round r - ahead, since integer sums do not ask in which round they come. */
#ifndef SHARDLM_SHARD_ROUNDS_H
#define SHARDLM_SHARD_ROUNDS_H

#include "model/parameters.h"
#include "shard/topology.h"

enum { ROUNDS_NOTHING = -1 }; /* "ahead" of who adds nothing to a group */

struct rounds {
    int64_t group_count;
    int64_t count;         /* in a step */
    int64_t *late;         /* (groups) turns by which a group's rounds come behind the head's */
    int64_t *ahead;        /* (groups) rounds by which this worker's gradients go ahead */
    int64_t worker_count;  /* of this node */
    int64_t *worker_slots; /* (workers) that each computes in a step */
    int64_t *worker_ahead; /* (workers, groups) */
};

/* A group's sums in a round, by their place in the order. */
struct rounds_place {
    int64_t number; /* group_count · count: behind the last */
    int64_t turn;
    int64_t group;
};

/* Of a step of `slots`. `adds`: the groups that this worker's section hands over. Collective over
 * workers. */
MUST_CHECK enum status rounds_init(struct rounds *rounds, const struct topology *topology,
                                   const struct parameter_table *table, const bool *adds,
                                   int64_t slots, struct error *error);
/* Where nothing is divided: one round, from the head to the embeddings. Local. */
void rounds_init_single(struct rounds *rounds, int64_t group_count);
void rounds_deinit(struct rounds *rounds); /* accepts a zeroed one */

struct rounds_place rounds_first(const struct rounds *rounds);
void rounds_next(const struct rounds *rounds, struct rounds_place *place);
bool rounds_over(const struct rounds *rounds, const struct rounds_place *place);
/* The round of its group that a place is. */
int64_t rounds_at(const struct rounds *rounds, const struct rounds_place *place);
/* The round that this worker's gradient of the group belongs to when it has added `added`. */
int64_t rounds_of_gradient(const struct rounds *rounds, int64_t group, int64_t added);
/* Gradients that this node's workers add to the group up to the end of `round` (-1: before the
 * first). */
int64_t rounds_wanted(const struct rounds *rounds, int64_t group, int64_t round);

#endif
