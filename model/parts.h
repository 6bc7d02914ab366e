/* Tensor partitions. The heads of attention, the inner width of the feed-forward and the vocabulary
 * are cut into v parts, a power of two (`numerics.tensor_parts`: part of a run's bits). Which of
 * them are computed here, and how to reach those who compute the others, is told by whoever opens
 * the model; the products themselves: parts_linear.h.
 *
 * On how many workers the parts are computed changes no bit. Each of t members has v / t
 * neighbouring parts, which is a subtree of the tree in which partial sums are added: (0 + 1) + (2
 * + 3), … A member adds up its subtree alone, and the exchange goes on in the same tree. */
#ifndef SHARDLM_MODEL_PARTS_H
#define SHARDLM_MODEL_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/kernels.h"

enum { PARTS_MAX = 64 };

/* The way to the other members, who make the same calls in the same order. Once a call has failed
 * the others do nothing, and what they should have written is not to be used: `check` tells. */
struct parts_exchange {
    /* In place: the sum over all members, in the tree's order. */
    void (*sum)(void *context, float *values, int64_t count);
    /* all[m · size_bytes …] = data of member m; one's own is there. */
    void (*gather)(void *context, void *all, size_t size_bytes);
    /* The first failure of any call since the last check. */
    enum status (*check)(void *context, struct error *error);
    void *context;
};

struct parts {
    int64_t count;                         /* v */
    int64_t member, member_count;          /* of the t that compute the same batches */
    const struct parts_exchange *exchange; /* NULL: all parts are here */

    /* Scratch, owned by the activations; see parts_levels. */
    float *partials; /* (levels, partial_elements) */
    int64_t partial_elements;
    float *vector;                        /* (3C) */
    int32_t *ids;                         /* (N) of a member's own words (word_rows.h) */
    struct kernels_softmax_part *softmax; /* (v + 1, rows of a chunk of logits) */
};

/* `count` and `member_count` 0: 1. */
struct parts parts_make(int64_t count, int64_t member, int64_t member_count,
                        const struct parts_exchange *exchange);

/* Elements of [0, total) that the parts computed here have together; and those of one part. Sizes
 * differ by at most one. */
struct parts_range {
    int64_t first;
    int64_t count;
};
struct parts_range parts_local(const struct parts *parts, int64_t total);
struct parts_range parts_range(const struct parts *parts, int64_t total, int64_t part);
/* The parts computed here: [first, end). */
int64_t parts_first(const struct parts *parts);
int64_t parts_end(const struct parts *parts);

/* Partial sums that wait for others at the same time: 0 if nothing is cut. */
int64_t parts_levels(const struct parts *parts);

/* OK as long as no exchange has failed. */
MUST_CHECK enum status parts_check(const struct parts *parts, struct error *error);

#endif
