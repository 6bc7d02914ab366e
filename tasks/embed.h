/* One vector for a text: the last hidden states of its tokens, put together. Knows no tokenizer. */
#ifndef SHARDLM_TASKS_EMBED_H
#define SHARDLM_TASKS_EMBED_H

#include <stdbool.h>

#include "base/error.h"
#include "model/model.h"

enum embed_pooling {
    EMBED_POOLING_MEAN, /* of all tokens, special ones included */
    EMBED_POOLING_CLS,  /* of the token that stands for the text */
    EMBED_POOLING_MAX,  /* of each element */
};

struct embed_options {
    enum embed_pooling pooling;
    bool class_last; /* that token is the last (XLNet; causal models see nothing before it) */
    bool normalise;  /* to length 1 */
};

/* `vector` (C) from hidden states (n, C), n >= 1. Sums in double, ascending rows. */
void embed_pool(float *vector, const float *hidden, int64_t n, int64_t c,
                const struct embed_options *options);

#endif
