/* Which tokens are predicted and what stands in their place: masked language modelling, dynamic,
 * static, by whole words, by n-grams and by spans. Masks are drawn for each part (a stretch of one
 * document within a row), so that a short part gets its share. With n maskable tokens in a part,
 * int(fraction * n + U[0, 1)) are predicted, without replacement; special tokens are never
 * predicted and never drawn as replacement. Whole words: words in random order, all pieces of a
 * word or none; a word that would exceed the budget is skipped; a word begins at the part's first
 * token, after a special token, and where the tokenizer says so. N-grams and spans: see
 * sampling_runs.h. Each predicted piece (span_mask: each span) is replaced by the mask token, by
 * drawn ordinary tokens (which may be the same), or kept, by the shares; drawn uniformly, for
 * span_mask by how often they stand in the corpus. A pure function of (seed, epoch or mask copy,
 * document, place in the document). Causal prediction masks nothing and has no part in this. */
#ifndef SHARDLM_DATA_PIPELINE_SAMPLING_H
#define SHARDLM_DATA_PIPELINE_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "data_pipeline/data_options.h"
#include "data_pipeline/tokenizer.h"

enum sampling_flag {
    SAMPLING_FLAG_SPECIAL = 1,
    SAMPLING_FLAG_BEGINS_WORD = 2,
};

/* What sampling must know of a vocabulary. */
struct sampling_table {
    int64_t vocabulary;
    int32_t mask;         /* the mask token */
    unsigned char *flags; /* (vocabulary) enum sampling_flag, or-ed */
    int32_t *ordinary;    /* (ordinary_count) ids that are not special */
    int64_t ordinary_count;
    int64_t *ordinary_ends; /* (ordinary_count) running sums of their counts; NULL: all alike */
};

/* `tokenizer` NULL: only `specials` are special, and no token begins a word. */
void sampling_table_init(struct sampling_table *table, const struct tokenizer *tokenizer,
                         int64_t vocabulary, struct tokenizer_specials specials);
/* From now on replacements are drawn in proportion to `counts` (vocabulary), of which ordinary ones
 * must not all be 0 and their sum stays below 2^63. */
void sampling_table_weigh(struct sampling_table *table, const int64_t *counts);
void sampling_table_deinit(struct sampling_table *table); /* accepts a zeroed table */

struct sampling_rules {
    enum data_objective objective; /* not causal */
    double fraction;               /* of the maskable tokens */
    double mask_share;             /* of the predicted ones */
    double random_share;
};

/* The randomness of one part. */
struct sampling_draw {
    struct random_key choice;
    struct random_key replacement;
    uint64_t part; /* names it: document * 2^32 + offset */
};

/* Keys for (seed, epoch); with static masks for (seed, epoch mod mask_copies). */
struct sampling_draw sampling_draw_make(const struct data_options *options, uint64_t seed,
                                        int64_t epoch, int64_t document, int64_t offset);

/* Scratch for parts of at most `count` tokens. */
struct sampling_work {
    unsigned char *chosen;
    int32_t *words;
    int32_t *span_begins; /* (count) span_mask: of the span that holds a chosen token */
    int32_t *span_ends;   /* behind its last token */
};
void sampling_work_init(struct sampling_work *work, int64_t count);
void sampling_work_deinit(struct sampling_work *work);

/* Most targets that parts with `count` tokens in all can have. */
int64_t sampling_targets_max(double fraction, int64_t count, int64_t part_count);

/* First tokens of the words of a part, ascending, into `words` (room for count); returns how many.
 * A special token belongs to no word and ends one. */
int64_t sampling_find_words(const struct sampling_table *table, const int32_t *ids, int64_t count,
                            int32_t *words);

/* The predicted tokens of a batch, appended in ascending order; the caller's arrays. */
struct sampling_targets {
    int64_t count;
    int32_t *rows;
    int32_t *ids;
    int32_t *left_rows;   /* span_mask: the rows around the span, but -1 where the span touches */
    int32_t *right_rows;  /* an end of its part, and for all other objectives */
    int32_t *span_places; /* from 0 at the span's first token; -1 with left_rows */
};

/* Masks ids[0 .. count), which stands at row `first_row`, in place and appends to `targets`. */
void sampling_mask(const struct sampling_table *table, const struct sampling_rules *rules,
                   const struct sampling_draw *draw, struct sampling_work *work, int32_t *ids,
                   int64_t count, int64_t first_row, struct sampling_targets *targets);

#endif
