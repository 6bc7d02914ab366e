/* Buffers between the sections of a pipeline. The model owns, fills and reads them; who moves their
 * contents from worker to worker is not its business. */
#ifndef SHARDLM_MODEL_HANDOVER_H
#define SHARDLM_MODEL_HANDOVER_H

#include <stdint.h>

/* What a section of a pipeline sends to others or has from them; NULL where it does not. */
struct handover {
    float *leaving;    /* (N, C) sent on */
    float *d_leaving;  /* its gradient, which comes back; behind it the sums of cut_groups.h */
    float *d_entering; /* the same of what entered, sent back */
    float *words; /* (words_count, N, E) word_rows.h: sent by the last, received by the first */
    int64_t words_count;   /* the last may be so many slots ahead of the first */
    int64_t words_size;    /* N·E */
    int64_t state_size;    /* N·C */
    int64_t gradient_size; /* of d_leaving at most: N·C, and the sums */
};

#endif
