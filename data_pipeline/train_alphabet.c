/* See train_alphabet.h. */
#include "data_pipeline/train_alphabet.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data_pipeline/byte_symbols.h"
#include "data_pipeline/utf8.h"

enum { CODE_POINTS = 0x110000, PREFIX_BYTES = 2 };

struct character {
    int64_t count; /* in all words */
    uint32_t code_point;
};

/* What is known of each code point. */
struct character_facts {
    int64_t count;
    bool taken;
    bool begins; /* a word */
    bool continues;
};

void train_alphabet_bytes(struct token_table *names, const struct word_counts *counts,
                          struct word_row *rows, int32_t *symbols)
{
    int32_t byte_ids[256];
    for (uint32_t code_point = 0; code_point <= 2 * 256;
         code_point++) { /* symbols lie below 2 * 256 */
        const int value = byte_symbol_value(code_point);
        if (value >= 0) {
            char symbol[BYTE_SYMBOL_BYTES];
            const char byte = (char)value;
            const size_t length = byte_symbols_write(&byte, 1, symbol);
            byte_ids[value] = token_table_add(names, symbol, length);
        }
    }
    for (size_t i = 0; i < counts->text_bytes; i++) {
        symbols[i] = byte_ids[(unsigned char)counts->text[i]];
    }
    for (size_t i = 0; i < counts->word_count; i++) {
        const struct counted_word *const word = &counts->words[i];
        rows[i] = (struct word_row){word->begin, word->size_bytes, word->count};
    }
}

/* The code point at `text` (a normalised word, so valid) and its length. */
static size_t next_point(const char *text, size_t size_bytes, uint32_t *code_point)
{
    const size_t length = utf8_decode(text, size_bytes, code_point, NULL);
    INVARIANT(length > 0);
    return length;
}

static void count_characters(const struct word_counts *counts, struct character_facts *facts)
{
    for (size_t i = 0; i < counts->word_count; i++) {
        const struct counted_word *const word = &counts->words[i];
        const char *const text = counts->text + word->begin;
        for (size_t at = 0; at < word->size_bytes;) {
            uint32_t code_point = 0;
            at += next_point(text + at, word->size_bytes - at, &code_point);
            facts[code_point].count += word->count;
        }
    }
}

static int more_frequent_first(const void *a, const void *b)
{
    const struct character *const x = a;
    const struct character *const y = b;
    if (x->count != y->count) {
        return x->count > y->count ? -1 : 1;
    }
    return (x->code_point > y->code_point) - (x->code_point < y->code_point);
}

static void take_most_frequent(struct character_facts *facts, size_t character_max)
{
    struct character *const all = memory_take(CODE_POINTS, sizeof *all, "characters to train on");
    size_t count = 0;
    for (uint32_t point = 0; point < CODE_POINTS; point++) {
        if (facts[point].count > 0) {
            all[count++] = (struct character){facts[point].count, point};
        }
    }
    qsort(all, count, sizeof *all, more_frequent_first);
    for (size_t i = 0; i < count && i < character_max; i++) {
        facts[all[i].code_point].taken = true;
    }
    memory_release(all);
}

/* Whether all characters of the word are taken. */
static bool word_is_known(const struct word_counts *counts, const struct counted_word *word,
                          const struct character_facts *facts)
{
    for (size_t at = 0; at < word->size_bytes;) {
        uint32_t code_point = 0;
        at += next_point(counts->text + word->begin + at, word->size_bytes - at, &code_point);
        if (!facts[code_point].taken) {
            return false;
        }
    }
    return true;
}

/* Name of a character as the first of a word or behind the prefix. */
static size_t symbol_name(uint32_t code_point, bool inner,
                          char name[PREFIX_BYTES + UTF8_SEQUENCE_BYTES])
{
    memcpy(name, "##", PREFIX_BYTES);
    const size_t prefix_bytes = inner ? PREFIX_BYTES : 0;
    return prefix_bytes + utf8_encode(code_point, name + prefix_bytes);
}

static void name_symbols(struct token_table *names, const struct character_facts *facts)
{
    for (int inner = 0; inner < 2; inner++) {
        for (uint32_t point = 0; point < CODE_POINTS; point++) {
            if (inner != 0 ? facts[point].continues : facts[point].begins) {
                char name[PREFIX_BYTES + UTF8_SEQUENCE_BYTES];
                (void)token_table_add(names, name, symbol_name(point, inner != 0, name));
            }
        }
    }
}

void train_alphabet_characters(struct token_table *names, const struct word_counts *counts,
                               size_t character_max, struct word_row *rows, int32_t *symbols)
{
    struct character_facts *const facts =
        memory_take(CODE_POINTS, sizeof *facts, "characters to train on");
    count_characters(counts, facts);
    take_most_frequent(facts, character_max);
    for (size_t i = 0; i < counts->word_count; i++) {
        const struct counted_word *const word = &counts->words[i];
        rows[i] = (struct word_row){word->begin, 0, word->count};
        if (!word_is_known(counts, word, facts)) {
            continue;
        }
        for (size_t at = 0; at < word->size_bytes;) {
            uint32_t code_point = 0;
            const size_t begin = at;
            at += next_point(counts->text + word->begin + at, word->size_bytes - at, &code_point);
            *(begin == 0 ? &facts[code_point].begins : &facts[code_point].continues) = true;
            symbols[word->begin + rows[i].count++] = (int32_t)code_point;
        }
    }
    name_symbols(names, facts);
    for (size_t i = 0; i < counts->word_count; i++) {
        for (size_t k = 0; k < rows[i].count; k++) {
            int32_t *const symbol = &symbols[rows[i].begin + k];
            char name[PREFIX_BYTES + UTF8_SEQUENCE_BYTES];
            const size_t size_bytes = symbol_name((uint32_t)*symbol, k > 0, name);
            *symbol = token_table_find(names, name, size_bytes);
        }
    }
    memory_release(facts);
}
