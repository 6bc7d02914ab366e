/* The XLNet cases of the reference data: sequences in chains (each remembers the ones before it),
 * either permuted with two streams, or in three segments with the content stream alone. */
#ifndef SHARDLM_TESTS_GOLDEN_GOLDEN_XLNET_H
#define SHARDLM_TESTS_GOLDEN_GOLDEN_XLNET_H

#include "tests/golden/golden_run.h"

void golden_xlnet_options(struct model_options *options, const json_t *config);
/* Both batches: all segments of all chains, one after another. What a chain remembers is computed
 * by the model itself and compared with the reference's; only `masked`, whose gradients and steps
 * are compared, takes the reference's where the reference holds it constant over its steps. */
void golden_xlnet_read(struct golden_case *golden);
/* Logits, hidden states of both streams, memories. */
void golden_xlnet_check(struct run *run);

#endif
