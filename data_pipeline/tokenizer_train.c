/* The merge loop. Words are rows of ids; a table counts neighbouring pairs (overlapping ones too:
 * aaa has two); a heap of candidates holds, for each pair, the words in which it arose. A candidate
 * whose count has changed goes back with the new one. Each single replacement updates the counts of
 * the pairs beside it; the count of the merged pair itself stays: it matters only if the same token
 * comes into being once more from other parts, and then as in the reference. */
#include "data_pipeline/tokenizer_train.h"

#include <string.h>

#include "base/memory.h"
#include "data_pipeline/gpt2_split.h"
#include "data_pipeline/token_table.h"
#include "data_pipeline/tokenizer_parts.h"
#include "data_pipeline/train_alphabet.h"
#include "data_pipeline/train_unigram_text.h"
#include "data_pipeline/utf8.h"
#include "data_pipeline/word_counts.h"

enum { SLOT_BITS_FIRST = 16, WORD_CHARACTERS_MAX = 100, PREFIX_BYTES = 2 };

#define HASH_FACTOR 0x9e3779b97f4a7c15U /* 2^64 / golden ratio */

struct pair_entry {
    uint64_t pair; /* left id << 32 | right id */
    int64_t count;
    uint64_t stamp;    /* of the last arising, so that a word is noted once in a step */
    size_t arisen;     /* words noted in this step */
    size_t next_place; /* where the next of them goes */
    size_t last_rank;  /* of its last merge, plus one; 0: none */
};

struct arising {
    uint32_t entry;
    uint32_t word;
};

struct merge_candidate {
    int64_t count;
    uint64_t pair;
    uint32_t entry;
    uint32_t word_count;
    size_t words; /* first of them in `places` */
};

struct tokenizer_trainer {
    struct tokenizer_train_options options;
    struct word_counts counts;
    struct bert_normalizer normalizer; /* of WordPiece */
    struct normal_text normal;
    struct unigram_text_work unigram;
    struct token_table names;
    struct word_row *words;
    int32_t *symbols;
    struct pair_entry *pairs;
    size_t pair_count;
    size_t pair_capacity;
    uint32_t *slots; /* hash table of pairs: index plus one, 0: free */
    unsigned slot_bits;
    struct arising *arisings; /* of this step */
    size_t arising_count;
    size_t arising_capacity;
    uint32_t *places; /* word numbers, a run for each candidate */
    size_t place_count;
    size_t place_capacity;
    struct merge_candidate *heap;
    size_t heap_count;
    size_t heap_capacity;
    struct bpe_merge *merges;
    size_t merge_count;
    size_t merge_capacity;
    uint64_t step;
};

static bool has_special(const struct tokenizer_train_options *options, const char *name)
{
    for (int64_t i = 0; i < options->special_count; i++) {
        if (strcmp(options->specials[i], name) == 0) {
            return true;
        }
    }
    return false;
}

enum status tokenizer_trainer_open(struct tokenizer_trainer **trainer,
                                   const struct tokenizer_train_options *options,
                                   struct error *error)
{
    if (options->vocabulary < 1 || options->vocabulary > TOKEN_COUNT_MAX) {
        FAIL(error, STATUS_INPUT, "vocabulary %lld is out of range: expected 1 to %d",
             (long long)options->vocabulary, TOKEN_COUNT_MAX);
    }
    if (options->min_frequency < 0) {
        FAIL(error, STATUS_INPUT, "min_frequency %lld is negative",
             (long long)options->min_frequency);
    }
    if (options->special_count < 0 || options->special_count > TRAIN_SPECIALS_MAX) {
        FAIL(error, STATUS_INPUT, "%lld special tokens: expected at most %d",
             (long long)options->special_count, TRAIN_SPECIALS_MAX);
    }
    for (int64_t i = 0; i < options->special_count; i++) {
        if (options->specials[i] == NULL || options->specials[i][0] == '\0') {
            FAIL(error, STATUS_INPUT, "special token %lld is empty", (long long)i);
        }
    }
    if (options->kind == TRAIN_KIND_WORDPIECE && !has_special(options, "[UNK]")) {
        FAIL(error, STATUS_INPUT, "WordPiece needs the special token \"[UNK]\"");
    }
    struct tokenizer_trainer *const made = memory_take(1, sizeof *made, "tokenizer trainer");
    made->options = *options;
    made->normalizer = (struct bert_normalizer){.clean_text = true,
                                                .chinese_apart = true,
                                                .strip_accents = !options->cased,
                                                .lowercase = !options->cased};
    word_counts_init(&made->counts);
    token_table_init(&made->names);
    *trainer = made;
    return STATUS_OK;
}

void tokenizer_trainer_close(struct tokenizer_trainer *trainer)
{
    if (trainer == NULL) {
        return;
    }
    memory_release(trainer->merges);
    memory_release(trainer->heap);
    memory_release(trainer->places);
    memory_release(trainer->arisings);
    memory_release(trainer->slots);
    memory_release(trainer->pairs);
    memory_release(trainer->symbols);
    memory_release(trainer->words);
    token_table_deinit(&trainer->names);
    word_counts_deinit(&trainer->counts);
    normal_text_deinit(&trainer->normal);
    unigram_text_work_deinit(&trainer->unigram);
    memory_release(trainer);
}

/* Words that are too long for the tokenizer are unknown to it, so nothing is learnt from them
 * (those longer in characters but not in bytes do no harm). */
static enum status add_bert_words(struct tokenizer_trainer *trainer, const char *text,
                                  size_t size_bytes, struct error *error)
{
    struct normal_text *const normal = &trainer->normal;
    normal->size_bytes = 0;
    bert_normalize(&trainer->normalizer, text, size_bytes, 0, normal);
    if (normal->size_bytes > TRAIN_WORD_BYTES_MAX - trainer->counts.text_bytes) {
        FAIL(error, STATUS_LIMIT, "could not count words: the different ones exceed %zu bytes",
             TRAIN_WORD_BYTES_MAX);
    }
    size_t begin = 0;
    size_t end = 0;
    while (bert_next_word(normal->bytes, normal->size_bytes, &begin, &end)) {
        if (end - begin <= WORD_CHARACTERS_MAX * UTF8_SEQUENCE_BYTES) {
            word_counts_add(&trainer->counts, normal->bytes + begin, end - begin);
        }
        begin = end;
    }
    return STATUS_OK;
}

enum status tokenizer_trainer_add(struct tokenizer_trainer *trainer, const char *text,
                                  size_t size_bytes, struct error *error)
{
    if (trainer->options.kind == TRAIN_KIND_WORDPIECE) {
        return add_bert_words(trainer, text, size_bytes, error);
    }
    if (trainer->options.kind == TRAIN_KIND_UNIGRAM) {
        return unigram_text_count(&trainer->counts, &trainer->unigram, text, size_bytes, error);
    }
    if (size_bytes > TRAIN_WORD_BYTES_MAX - trainer->counts.text_bytes) {
        FAIL(error, STATUS_LIMIT, "could not count words: the different ones exceed %zu bytes",
             TRAIN_WORD_BYTES_MAX);
    }
    for (size_t at = 0; at < size_bytes;) {
        const size_t end = gpt2_split_next(text, size_bytes, at);
        word_counts_add(&trainer->counts, text + at, end - at);
        at = end;
    }
    return STATUS_OK;
}

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t slot_of(const struct tokenizer_trainer *trainer, uint64_t pair)
{
    const size_t mask = ((size_t)1 << trainer->slot_bits) - 1;
    size_t slot = (size_t)((pair * HASH_FACTOR) >> (64 - trainer->slot_bits));
    while (trainer->slots[slot] != 0 && trainer->pairs[trainer->slots[slot] - 1].pair != pair) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static void grow_slots(struct tokenizer_trainer *trainer)
{
    trainer->slot_bits = trainer->slots == NULL ? SLOT_BITS_FIRST : trainer->slot_bits + 1;
    memory_release(trainer->slots);
    trainer->slots = memory_take((size_t)1 << trainer->slot_bits, sizeof *trainer->slots, "pairs");
    for (size_t i = 0; i < trainer->pair_count; i++) {
        trainer->slots[slot_of(trainer, trainer->pairs[i].pair)] = (uint32_t)i + 1;
    }
}

/* Index of a pair's entry, made if it is new. */
static uint32_t entry_of(struct tokenizer_trainer *trainer, int32_t left, int32_t right)
{
    const uint64_t pair = pair_of(left, right);
    size_t slot = slot_of(trainer, pair);
    if (trainer->slots[slot] == 0) {
        if ((trainer->pair_count + 1) * 2 > (size_t)1 << trainer->slot_bits) {
            grow_slots(trainer);
            slot = slot_of(trainer, pair);
        }
        INVARIANT(trainer->pair_count < UINT32_MAX - 1);
        memory_reserve((void **)&trainer->pairs, &trainer->pair_capacity, trainer->pair_count + 1,
                       sizeof *trainer->pairs, "pairs");
        trainer->pairs[trainer->pair_count++] = (struct pair_entry){.pair = pair};
        trainer->slots[slot] = (uint32_t)trainer->pair_count;
    }
    return trainer->slots[slot] - 1;
}

/* A pair arose in `word`: count it, and note the word. */
static void pair_arises(struct tokenizer_trainer *trainer, int32_t left, int32_t right,
                        uint32_t word)
{
    const uint32_t index = entry_of(trainer, left, right);
    struct pair_entry *const entry = &trainer->pairs[index];
    entry->count += trainer->words[word].weight;
    const uint64_t stamp = trainer->step << 32 | (word + 1);
    if (entry->stamp == stamp) {
        return;
    }
    entry->stamp = stamp;
    entry->arisen++;
    memory_reserve((void **)&trainer->arisings, &trainer->arising_capacity,
                   trainer->arising_count + 1, sizeof *trainer->arisings, "new pairs");
    trainer->arisings[trainer->arising_count++] = (struct arising){index, word};
}

static bool candidate_before(const struct merge_candidate *a, const struct merge_candidate *b)
{
    return a->count != b->count ? a->count > b->count : a->pair < b->pair;
}

static void heap_add(struct tokenizer_trainer *trainer, struct merge_candidate candidate)
{
    memory_reserve((void **)&trainer->heap, &trainer->heap_capacity, trainer->heap_count + 1,
                   sizeof *trainer->heap, "candidates of merges");
    size_t at = trainer->heap_count++;
    while (at > 0 && candidate_before(&candidate, &trainer->heap[(at - 1) / 2])) {
        trainer->heap[at] = trainer->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    trainer->heap[at] = candidate;
}

/* Puts `candidate` where the first one was, or lower. */
static void heap_replace_first(struct tokenizer_trainer *trainer, struct merge_candidate candidate)
{
    struct merge_candidate *const heap = trainer->heap;
    size_t at = 0;
    for (size_t child = 1; child < trainer->heap_count; child = 2 * at + 1) {
        if (child + 1 < trainer->heap_count && candidate_before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!candidate_before(&heap[child], &candidate)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = candidate;
}

/* Makes candidates of the pairs that arose in this step, each with its words. Uses `arisen` as fill
 * level. */
static void candidates_add(struct tokenizer_trainer *trainer)
{
    memory_reserve((void **)&trainer->places, &trainer->place_capacity,
                   trainer->place_count + trainer->arising_count, sizeof *trainer->places,
                   "words of candidates");
    for (size_t i = 0; i < trainer->arising_count; i++) {
        const struct arising arising = trainer->arisings[i];
        struct pair_entry *const entry = &trainer->pairs[arising.entry];
        if (entry->arisen != 0) { /* the first of this pair: a run of places for all of them */
            if (entry->count > 0) {
                heap_add(trainer,
                         (struct merge_candidate){entry->count, entry->pair, arising.entry,
                                                  (uint32_t)entry->arisen, trainer->place_count});
            }
            entry->next_place = trainer->place_count;
            trainer->place_count += entry->arisen;
            entry->arisen = 0;
        }
        trainer->places[entry->next_place++] = arising.word;
    }
    trainer->arising_count = 0;
    trainer->step++;
}

/* First ids, words as rows of ids, and the pairs in them. */
static void start(struct tokenizer_trainer *trainer)
{
    for (int64_t i = 0; i < trainer->options.special_count; i++) {
        (void)token_table_add(&trainer->names, trainer->options.specials[i],
                              strlen(trainer->options.specials[i]));
    }
    const struct word_counts *const counts = &trainer->counts;
    trainer->words = memory_take(counts->word_count, sizeof *trainer->words, "words to train on");
    trainer->symbols =
        memory_take(counts->text_bytes, sizeof *trainer->symbols, "words to train on");
    if (trainer->options.kind == TRAIN_KIND_WORDPIECE) {
        train_alphabet_characters(&trainer->names, counts, TRAIN_CHARACTERS_MAX, trainer->words,
                                  trainer->symbols);
    } else {
        train_alphabet_bytes(&trainer->names, counts, trainer->words, trainer->symbols);
    }
    grow_slots(trainer);
    for (size_t i = 0; i < counts->word_count; i++) {
        const int32_t *const row = trainer->symbols + trainer->words[i].begin;
        for (size_t k = 0; k + 1 < trainer->words[i].count; k++) {
            pair_arises(trainer, row[k], row[k + 1], (uint32_t)i);
        }
    }
    candidates_add(trainer);
}

/* Replaces left right by `result` in one word, from left to right. */
static void merge_in_word(struct tokenizer_trainer *trainer, uint32_t word, struct bpe_merge merge)
{
    struct word_row *const row = &trainer->words[word];
    int32_t *const symbols = trainer->symbols + row->begin;
    size_t written = 0;
    for (size_t i = 0; i < row->count;) {
        if (symbols[i] != merge.left || i + 1 == row->count || symbols[i + 1] != merge.right) {
            symbols[written++] = symbols[i++];
            continue;
        }
        if (written > 0) {
            const int32_t before = symbols[written - 1];
            trainer->pairs[entry_of(trainer, before, merge.left)].count -= row->weight;
            pair_arises(trainer, before, merge.result, word);
        }
        if (i + 2 < row->count) {
            const int32_t behind = symbols[i + 2];
            trainer->pairs[entry_of(trainer, merge.right, behind)].count -= row->weight;
            pair_arises(trainer, merge.result, behind, word);
        }
        symbols[written++] = merge.result;
        i += 2;
    }
    row->count = written;
}

/* The token made of two others, new or not. */
static int32_t name_of(struct tokenizer_trainer *trainer, int32_t left, int32_t right)
{
    const struct token_text a = trainer->names.texts[left];
    struct token_text b = trainer->names.texts[right];
    if (trainer->options.kind == TRAIN_KIND_WORDPIECE) { /* what is on the right has its prefix */
        b = (struct token_text){b.bytes + PREFIX_BYTES, b.size_bytes - PREFIX_BYTES};
    }
    char *const text = memory_take(a.size_bytes + b.size_bytes, 1, "a new token");
    memcpy(text, a.bytes, a.size_bytes);
    memcpy(text + a.size_bytes, b.bytes, b.size_bytes);
    const int32_t id = token_table_add(&trainer->names, text, a.size_bytes + b.size_bytes);
    memory_release(text);
    return id;
}

static void merge_all(struct tokenizer_trainer *trainer)
{
    while (trainer->names.count < trainer->options.vocabulary && trainer->heap_count > 0) {
        struct merge_candidate best = trainer->heap[0];
        const int64_t count = trainer->pairs[best.entry].count;
        if (best.count != count) {
            best.count = count;
            heap_replace_first(trainer, best);
            continue;
        }
        if (count < 1 || count < trainer->options.min_frequency) {
            break;
        }
        trainer->heap_count--;
        heap_replace_first(trainer, trainer->heap[trainer->heap_count]);
        struct bpe_merge merge = {.left = (int32_t)(best.pair >> 32),
                                  .right = (int32_t)(uint32_t)best.pair};
        merge.result = name_of(trainer, merge.left, merge.right);
        memory_reserve((void **)&trainer->merges, &trainer->merge_capacity,
                       trainer->merge_count + 1, sizeof *trainer->merges, "merges");
        trainer->merges[trainer->merge_count++] = merge;
        trainer->pairs[best.entry].last_rank = trainer->merge_count;
        for (uint32_t i = 0; i < best.word_count; i++) {
            merge_in_word(trainer, trainer->places[best.words + i], merge);
        }
        candidates_add(trainer);
    }
}

static void hand_over_names(struct tokenizer_trainer *trainer, struct tokenizer *tokenizer)
{
    for (int64_t id = 0; id < trainer->names.count; id++) {
        const struct token_text text = trainer->names.texts[id];
        const bool named =
            tokenizer_name(tokenizer, text.bytes, text.size_bytes, TOKEN_FLAG_IN_MODEL);
        INVARIANT(named);
    }
    for (int64_t i = 0; i < trainer->options.special_count; i++) {
        const char *const name = trainer->options.specials[i];
        const int32_t id = token_table_find(&trainer->names, name, strlen(name));
        if ((tokenizer->flags[id] & TOKEN_FLAG_ADDED) == 0) {
            tokenizer_add_token(tokenizer,
                                &(struct added_token){.id = id,
                                                      .special = true,
                                                      .strip_left = strcmp(name, "<mask>") == 0});
        }
    }
}

static void hand_over_wordpiece(struct tokenizer_trainer *trainer, struct tokenizer *tokenizer)
{
    tokenizer->wordpiece = (struct wordpiece){
        .normalizer = trainer->normalizer,
        .has_normalizer = true,
        .has_decoder = true,
        .cleanup = true,
        .prefix = "##",
        .prefix_bytes = PREFIX_BYTES,
        .characters_max = WORD_CHARACTERS_MAX,
        .unknown = token_table_find(&tokenizer->vocabulary, "[UNK]", strlen("[UNK]"))};
    tokenizer->post_processor = tokenizer_bert_processor(&tokenizer->vocabulary);
}

/* A pair that was merged twice counts with its last rank only. */
static void hand_over_merges(struct tokenizer_trainer *trainer, struct tokenizer *tokenizer)
{
    struct bytebpe *const bpe = &tokenizer->bpe;
    bpe->merges = memory_take(trainer->merge_count, sizeof *bpe->merges, "merges of a tokenizer");
    for (size_t i = 0; i < trainer->merge_count; i++) {
        const struct bpe_merge merge = trainer->merges[i];
        if (trainer->pairs[entry_of(trainer, merge.left, merge.right)].last_rank == i + 1) {
            bpe->merges[bpe->merge_count++] = merge;
        }
    }
    tokenizer->post_processor = tokenizer_roberta_processor(&tokenizer->vocabulary);
}

enum status tokenizer_trainer_finish(struct tokenizer_trainer *trainer,
                                     struct tokenizer **tokenizer, struct error *error)
{
    if (trainer->options.kind == TRAIN_KIND_UNIGRAM) {
        const enum status status =
            unigram_text_train(&trainer->counts, &trainer->options, tokenizer, error);
        tokenizer_trainer_close(trainer);
        return status;
    }
    start(trainer);
    if (trainer->names.count > trainer->options.vocabulary &&
        trainer->options.kind == TRAIN_KIND_WORDPIECE) {
        (void)error_set(error, STATUS_INPUT,
                        "vocabulary %lld is too small: special tokens and characters are %lld",
                        (long long)trainer->options.vocabulary, (long long)trainer->names.count);
        tokenizer_trainer_close(trainer);
        return STATUS_INPUT;
    }
    merge_all(trainer);
    const bool wordpiece = trainer->options.kind == TRAIN_KIND_WORDPIECE;
    struct tokenizer *const made =
        tokenizer_new(wordpiece ? TOKENIZER_KIND_WORDPIECE : TOKENIZER_KIND_BYTEBPE);
    hand_over_names(trainer, made);
    if (wordpiece) {
        hand_over_wordpiece(trainer, made);
    } else {
        hand_over_merges(trainer, made);
    }
    tokenizer_trainer_close(trainer);
    const enum status status = tokenizer_seal(made, "trained tokenizer", error);
    if (status != STATUS_OK) {
        tokenizer_close(made);
        return status;
    }
    *tokenizer = made;
    return STATUS_OK;
}
