/* The schedule of a pipeline on one of its workers. The slots of a team go through its sections one
 * behind the other (one forward, one backward):
 *
 *     section 0   F0 F1 F2 B0 F3 B1 F4 B2 …          F: forward, B: backward of a slot
 *     section 1      F0 F1 B0 F2 B1 F3 B2 …
 *     section 2         FB0  FB1  FB2 …              the last does both at once
 *
 * Section s has at most S - s slots between the two. Hidden states go up and their gradients come
 * down, rows of the word table's gradient go from the last section to the first
 * (model/word_rows.h); each section prepares the same batch for itself. Receives are begun before
 * they are needed, sends end while the next slot is computed, and every wait has the job's limit
 * and names whom it is for.
 *
 * Where leases are given out one by one, the first section asks for the slot behind the one that it
 * is about to compute, and each section passes the number on before it computes: so all know it in
 * time to prepare its batch, and no wait for a number is longer than that for the state behind it.
 * A team that is slow asks seldom; it holds S slots and one more at most.
 */
#ifndef SHARDLM_WORKER_PIPELINE_H
#define SHARDLM_WORKER_PIPELINE_H

#include "worker/trainer.h"

struct pipeline;

/* Keeps all pointers. Collective over the team; NULL where a team is one worker. */
MUST_CHECK enum status pipeline_open(struct pipeline **pipeline, const struct topology *topology,
                                     const char *host, struct model *model, struct error *error);
void pipeline_close(struct pipeline *pipeline); /* accepts NULL */
/* Forward and backward of the team's slots of a step, of which there is one at least. The first is
 * known and asked for; the others are known, too, or leased one by one (`dynamic`), and then
 * accumulator_final is told. Collective over the team. */
MUST_CHECK enum status pipeline_train(struct pipeline *pipeline, struct trainer *trainer,
                                      int64_t step, int64_t first, bool dynamic,
                                      struct trainer_report *report, struct error *error);
/* Forward and backward of one slot, asked for already, whose gradient is added nowhere: for its
 * digest. Collective over the team. */
MUST_CHECK enum status pipeline_repeat(struct pipeline *pipeline, struct trainer *trainer,
                                       int64_t step, int64_t slot, struct error *error);
/* Loss of the team's share of the first `slots` held-out slots; the last section adds it to the
 * totals. Collective over the team. */
MUST_CHECK enum status pipeline_evaluate(struct pipeline *pipeline, struct trainer *trainer,
                                         int64_t slots, struct error *error);
/* Lets messages move. Local. */
MUST_CHECK enum status pipeline_poll(struct pipeline *pipeline, struct error *error);

#endif
