/* See chain.h. */
#include "data_pipeline/chain.h"

#include "base/memory.h"

static const uint64_t DIRECTION_PART = UINT64_MAX; /* no document's part */

void chain_work_init(struct chain_work *work, int64_t sequence_tokens)
{
    const size_t tokens = (size_t)sequence_tokens;
    *work = (struct chain_work){0};
    work->kinds = memory_take(tokens, sizeof *work->kinds, "permutation");
    work->ranks = memory_take(tokens, sizeof *work->ranks, "permutation");
}

void chain_work_deinit(struct chain_work *work)
{
    memory_release(work->ranks);
    memory_release(work->kinds);
}

bool chain_is_reversed(uint64_t seed, int64_t epoch, int64_t number)
{
    const struct random_key key =
        random_key_make(seed, RANDOM_PURPOSE_PERMUTATION_ORDER, (uint64_t)epoch);
    return random_at(key, DIRECTION_PART, (uint64_t)number).word[0] % 2 == 1;
}

/* Whether `after` goes on in the document where `before` ends. */
static bool part_follows(const struct corpus_part *before, const struct corpus_part *after)
{
    return before->count > 0 && before->document == after->document &&
           before->offset + before->count == after->offset;
}

static bool sequence_continues(const struct chain_work *work, const struct chain_place *place,
                               const struct corpus_part *first, const struct corpus_part *last)
{
    return place->reversed ? last->count > 0 && part_follows(last, &work->first)
                           : part_follows(&work->last, first);
}

/* The share of the ordinary tokens, and at least one. */
static int64_t target_goal(const struct sampling_table *table, const int32_t *ids, int64_t count,
                           double fraction)
{
    int64_t ordinary = 0;
    for (int64_t i = 0; i < count; i++) {
        ordinary += (table->flags[ids[i]] & SAMPLING_FLAG_SPECIAL) == 0;
    }
    const int64_t goal = (int64_t)(fraction * (double)ordinary + 0.5);
    return goal > 0 ? goal : 1;
}

static void text_reverse(int32_t *ids, enum permutation_kind *kinds, int64_t count)
{
    for (int64_t i = 0, j = count - 1; i < j; i++, j--) {
        const int32_t id = ids[i];
        const enum permutation_kind kind = kinds[i];
        ids[i] = ids[j];
        kinds[i] = kinds[j];
        ids[j] = id;
        kinds[j] = kind;
    }
}

/* The tokens of a sequence, text first, with their places. */
static void tokens_append(struct batch *batch, const int32_t *text, int64_t count,
                          int32_t separator, int32_t class)
{
    const int64_t first = batch->token_count;
    for (int64_t i = 0; i < count + 2; i++) {
        batch->ids[first + i] = i < count ? text[i] : i == count ? separator : class;
        batch->positions[first + i] = (int32_t)i;
        batch->segments[first + i] = i <= count ? 0 : CHAIN_CLASS_SEGMENT;
    }
    batch->token_count += count + 2;
}

static void targets_append(struct batch *batch, const enum permutation_kind *kinds, int64_t first,
                           int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (kinds[i] == PERMUTATION_KIND_TARGET) {
            const int64_t k = batch->target_count++;
            batch->target_rows[k] = (int32_t)(first + i);
            batch->target_ids[k] = batch->ids[first + i];
            batch->left_rows[k] = -1;
            batch->right_rows[k] = -1;
            batch->span_places[k] = -1;
        }
    }
}

/* `ids` (count): class token, text, separator. */
static void sequence_append(struct batch *batch, const struct sampling_table *table,
                            const struct chain_place *place, const struct corpus_part *part,
                            int32_t *ids, int64_t count, struct chain_work *work)
{
    const int64_t first = batch->token_count;
    const int64_t text = count - 2;
    const struct permutation_draw draw =
        permutation_draw_make(place->seed, place->epoch, part->document, part->offset);
    (void)permutation_choose_targets(table, &draw, ids + 1, text,
                                     target_goal(table, ids + 1, text, place->fraction),
                                     work->kinds);
    if (place->reversed) {
        text_reverse(ids + 1, work->kinds, text);
    }
    work->kinds[text] = PERMUTATION_KIND_FUNCTIONAL;
    work->kinds[text + 1] = PERMUTATION_KIND_FUNCTIONAL;
    permutation_draw_ranks(&draw, count, count, work->ranks);
    permutation_make_orders(work->kinds, work->ranks, count, batch->orders + first,
                            batch->horizons + first);
    tokens_append(batch, ids + 1, text, ids[count - 1], ids[0]);
    targets_append(batch, work->kinds, first, text);
}

void chain_append(struct batch *batch, const struct sampling_table *table,
                  const struct chain_place *place, struct corpus_row *row, struct chain_work *work)
{
    static const struct corpus_part none = {0};
    if (place->begins) {
        work->first = work->last = none;
    }
    for (int64_t i = 0; i < row->sequence_count; i++) {
        const int64_t begin = row->sequence_begins[i];
        const int64_t end =
            i + 1 < row->sequence_count ? row->sequence_begins[i + 1] : row->token_count;
        /* several sequences have a part each, a single one may have many or, of separators, none */
        const bool single = row->sequence_count == 1;
        const struct corpus_part *const first = row->part_count == 0 ? &none
                                                : single             ? &row->parts[0]
                                                                     : &row->parts[i];
        const struct corpus_part *const last =
            row->part_count > 0 && single ? &row->parts[row->part_count - 1] : first;
        const int64_t b = batch->sequence_count++;
        batch->sequence_labels[b] = -1;
        batch->continues[b] = sequence_continues(work, place, first, last);
        batch->reversed[b] = place->reversed;
        batch->starts[b] = (int32_t)batch->token_count;
        sequence_append(batch, table, place, first, row->ids + begin, end - begin, work);
        work->first = *first;
        work->last = *last;
    }
    batch->starts[batch->sequence_count] = (int32_t)batch->token_count;
}
