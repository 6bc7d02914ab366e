/* What a new run begins with beside its seed: the weights of another checkpoint (continued
 * pretraining, train --from). */
#ifndef SHARDLM_LAUNCH_RUN_START_H
#define SHARDLM_LAUNCH_RUN_START_H

#include "launch/config.h"

/* Makes `start` name one checkpoint (of a run: its newest good one) by absolute path and
 * fingerprint, and fills in model.vocabulary 0 from it. All digests are verified. STATUS_INPUT if
 * the checkpoint has another network, lacks a tensor of this one, or was trained with another
 * tokenizer than the corpus was built with. Nothing to do without start.checkpoint. */
MUST_CHECK enum status run_start_resolve(struct config *config, struct error *error);

#endif
