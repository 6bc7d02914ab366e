/* Which tokens are predicted and what stands in their place: masked language modelling, dynamic,
 * static and by whole words. Masks are drawn for each part (a stretch of one document within a
 * row), so that a short part gets its share. With n maskable tokens in a part, int(fraction * n +
 * U[0, 1)) are predicted, without replacement; special tokens are never predicted and never drawn
 * as replacement. Whole words: words in random order, all pieces of a word or none; a word that
 * would exceed the budget is skipped; a word begins at the part's first token, after a special
 * token, and where the tokenizer says so. Each predicted piece is replaced by the mask token, by a
 * uniformly drawn ordinary token (which may be the same), or kept, by the shares. A pure function
 * of (seed, epoch or mask copy, document, place in the document). */
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
};

/* `tokenizer` NULL: only `specials` are special, and no token begins a word. */
void sampling_table_init(struct sampling_table *table, const struct tokenizer *tokenizer,
                         int64_t vocabulary, struct tokenizer_specials specials);
void sampling_table_deinit(struct sampling_table *table); /* accepts a zeroed table */

struct sampling_rules {
    bool whole_words;
    double fraction;   /* of the maskable tokens */
    double mask_share; /* of the predicted ones */
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
};
void sampling_work_init(struct sampling_work *work, int64_t count);
void sampling_work_deinit(struct sampling_work *work);

/* Most targets that parts with `count` tokens in all can have. */
int64_t sampling_targets_max(double fraction, int64_t count, int64_t part_count);

/* First tokens of the words of a part, ascending, into `words` (room for count); returns how many.
 * A special token belongs to no word and ends one. */
int64_t sampling_find_words(const struct sampling_table *table, const int32_t *ids, int64_t count,
                            int32_t *words);

/* Masks ids[0 .. count) in place. For each predicted token appends first_row + its place to
 * target_rows, ascending, and the id that stood there to target_ids; returns how many. */
int64_t sampling_mask(const struct sampling_table *table, const struct sampling_rules *rules,
                      const struct sampling_draw *draw, struct sampling_work *work, int32_t *ids,
                      int64_t count, int64_t first_row, int32_t *target_rows, int32_t *target_ids);

#endif
