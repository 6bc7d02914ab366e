/* The fingerprint of a run's state: XXH3-128 of (weights, first moments, second moments) by blocks
 * of the flat parameter space, then of the list of block digests, arrays one after another, then of
 * the step. It depends on the logical state alone, never on who holds it. Equal fingerprints mean
 * equal bits. */
#ifndef SHARDLM_SHARD_FINGERPRINT_H
#define SHARDLM_SHARD_FINGERPRINT_H

#include "base/hash.h"
#include "model/parameters.h"

enum { FINGERPRINT_ARRAYS = 3 }; /* weights, first, second */

/* digests[i] of block i of `values`, count a multiple of PARAMETER_BLOCK. */
void fingerprint_blocks(struct digest *digests, const float *values, int64_t count);
/* `digests`: FINGERPRINT_ARRAYS lists of block_count each, one behind the other. */
struct digest fingerprint_combine(const struct digest *digests, int64_t block_count, int64_t step);
/* From whole arrays of table->element_count. */
struct digest fingerprint_state(const struct parameter_table *table, const float *weights,
                                const float *first, const float *second, int64_t step);

#endif
