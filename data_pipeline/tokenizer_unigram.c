/* Normalising and the search for the best row of pieces. */
#include "data_pipeline/tokenizer_unigram.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data_pipeline/unigram_search.h"
#include "data_pipeline/utf8.h"

enum { BYTE_NAME_BYTES = 8 };

static const char space_symbol[] = "\xe2\x96\x81"; /* U+2581 */
static const char replacement_symbol[] = "\xef\xbf\xbd";
static const double unknown_penalty = 10;
static const double user_bonus = -0.1;

struct unigram_work *unigram_work_open(void)
{
    struct unigram_work *const work =
        memory_take(1, sizeof(struct unigram_work), "scratch of a tokenizer");
    word_cache_init(&work->cache);
    return work;
}

void unigram_work_reset(struct unigram_work *work)
{
    word_cache_reset(&work->cache);
}

void unigram_work_close(struct unigram_work *work)
{
    if (work != NULL) {
        normal_text_deinit(&work->normal);
        word_cache_deinit(&work->cache);
        memory_release(work->rows);
        memory_release(work->pieces);
        piece_merges_work_close(work->merges);
        memory_release(work);
    }
}

void unigram_deinit(struct unigram *model)
{
    text_normalizer_deinit(&model->words.normalizer);
    memory_release(model->file);
    memory_release(model->scores);
    memory_release(model->types);
    memory_release(model->ranks);
    character_map_deinit(&model->map);
    piece_trie_deinit(&model->pieces);
    piece_trie_deinit(&model->user_pieces);
    *model = (struct unigram){0};
}

bool unigram_piece_begins_word(struct token_text text)
{
    return text.size_bytes >= UNIGRAM_SPACE_BYTES &&
           memcmp(text.bytes, space_symbol, UNIGRAM_SPACE_BYTES) == 0;
}

static enum status find_byte_pieces(struct unigram *model, const struct token_text *texts,
                                    size_t count, const char *where, struct error *error)
{
    for (int byte = 0; byte < 256; byte++) {
        model->byte_ids[byte] = -1;
    }
    for (size_t id = 0; id < count; id++) {
        char name[BYTE_NAME_BYTES];
        unsigned value = 0;
        if (model->types[id] != PIECE_TYPE_BYTE) {
            continue;
        }
        for (; value < 256; value++) {
            const int length = snprintf(name, sizeof name, "<0x%02X>", value);
            if (texts[id].size_bytes == (size_t)length &&
                memcmp(texts[id].bytes, name, (size_t)length) == 0) {
                break;
            }
        }
        if (value == 256) {
            FAIL(error, STATUS_FORMAT, "\"%s\": byte piece \"%s\" is not <0x00> to <0xFF>", where,
                 texts[id].bytes);
        }
        model->byte_ids[value] = (int32_t)id;
    }
    for (int byte = 0; byte < 256 && model->byte_fallback; byte++) {
        if (model->byte_ids[byte] < 0) {
            FAIL(error, STATUS_FORMAT, "\"%s\": byte fallback without piece <0x%02X>", where,
                 (unsigned)byte);
        }
    }
    return STATUS_OK;
}

enum status unigram_seal(struct unigram *model, const struct token_text *texts, size_t count,
                         const char *where, struct error *error)
{
    model->unknown = -1;
    model->lowest_score = DBL_MAX;
    model->highest_score = (double)FLT_MIN; /* as in the reference: above every logarithm */
    enum { MATCHED = 1, USER = 2 };
    uint8_t *const flags = memory_take(count, 1, "pieces of a tokenizer");
    for (size_t id = 0; id < count; id++) {
        const double score = model->scores[id];
        if (model->types[id] == PIECE_TYPE_NORMAL ||
            (model->by_words && model->types[id] != PIECE_TYPE_CONTROL)) {
            model->lowest_score = score < model->lowest_score ? score : model->lowest_score;
            model->highest_score = score > model->highest_score ? score : model->highest_score;
            flags[id] = MATCHED;
        } else if (model->types[id] == PIECE_TYPE_USER) {
            flags[id] = MATCHED | USER;
        }
        if (model->search != PIECE_SEARCH_BEST_ROW) {
            flags[id] |= MATCHED; /* also a control piece, if it is one character */
        }
        if (model->types[id] == PIECE_TYPE_UNKNOWN) {
            model->unknown = (int32_t)id;
        }
    }
    piece_trie_init(&model->pieces, texts, flags, MATCHED, count);
    piece_trie_init(&model->user_pieces, texts, flags, USER, count);
    memory_release(flags);
    if (model->search != PIECE_SEARCH_BEST_ROW) {
        piece_merges_seal(model, count);
    }
    if (model->unknown < 0) {
        FAIL(error, STATUS_FORMAT, "\"%s\": no piece is the unknown one", where);
    }
    TRY(find_byte_pieces(model, texts, count, where, error));
    return character_map_init(&model->map, model->map_blob, model->map_bytes, where, error);
}

/* What the text begins with, normalised: its bytes (borrowed), and how many of the text it takes.
 */
static size_t normal_prefix(const struct unigram *model, const char *text, size_t size_bytes,
                            const char **bytes, size_t *byte_count)
{
    const size_t user_bytes = piece_trie_longest(&model->user_pieces, text, size_bytes);
    *bytes = text;
    *byte_count = user_bytes;
    if (user_bytes > 0) {
        return user_bytes;
    }
    const size_t ruled = character_map_find(&model->map, text, size_bytes, bytes);
    if (ruled > 0) {
        *byte_count = strlen(*bytes);
        return ruled;
    }
    uint32_t code_point = 0;
    *byte_count = utf8_decode(text, size_bytes, &code_point, NULL);
    if (*byte_count == 0) { /* a byte that is no UTF-8 */
        *bytes = replacement_symbol;
        *byte_count = strlen(replacement_symbol);
        return 1;
    }
    return *byte_count;
}

static void add_space(const struct unigram *model, struct normal_text *out, size_t at)
{
    normal_text_add(out, model->escape_spaces ? space_symbol : " ",
                    model->escape_spaces ? UNIGRAM_SPACE_BYTES : 1, at, at);
}

/* Appends normalised bytes, blanks as the model writes them. */
static void add_escaped(const struct unigram *model, struct normal_text *out, const char *bytes,
                        size_t byte_count, size_t at)
{
    size_t plain = 0;
    for (size_t i = 0; i < byte_count; i++) {
        if (bytes[i] == ' ') {
            normal_text_add(out, bytes + plain, i - plain, at, at);
            add_space(model, out, at);
            plain = i + 1;
        }
    }
    normal_text_add(out, bytes + plain, byte_count - plain, at, at);
}

/* Takes spaces off the end; returns where in the original the text ends then. */
static size_t trim_end(const struct unigram *model, struct normal_text *out, size_t end)
{
    const char *const space = model->escape_spaces ? space_symbol : " ";
    const size_t space_bytes = strlen(space);
    while (out->size_bytes >= space_bytes &&
           memcmp(out->bytes + out->size_bytes - space_bytes, space, space_bytes) == 0) {
        out->size_bytes -= space_bytes;
        end = out->with_origins ? out->origins[out->size_bytes].begin : end;
    }
    return end;
}

/* Fills `out`; each byte has the place where what it stands for begins. Returns the end of the last
 * one. */
static size_t normalize(const struct unigram *model, const char *text, size_t size_bytes,
                        size_t base, struct normal_text *out)
{
    const char *bytes = NULL;
    size_t byte_count = 0;
    size_t at = 0;
    while (model->remove_extra_spaces && at < size_bytes) {
        const size_t length = normal_prefix(model, text + at, size_bytes - at, &bytes, &byte_count);
        if (byte_count != 1 || bytes[0] != ' ') {
            break;
        }
        at += length;
    }
    if (at == size_bytes) {
        return base + at;
    }
    if (model->add_dummy_prefix && !model->space_is_suffix) {
        add_space(model, out, base + at);
    }
    bool after_space = model->remove_extra_spaces;
    while (at < size_bytes) {
        const size_t length = normal_prefix(model, text + at, size_bytes - at, &bytes, &byte_count);
        while (after_space && byte_count > 0 && bytes[0] == ' ') {
            bytes++;
            byte_count--;
        }
        if (byte_count > 0) {
            add_escaped(model, out, bytes, byte_count, base + at);
            after_space = model->remove_extra_spaces && bytes[byte_count - 1] == ' ';
        }
        at += length;
    }
    size_t end = base + at;
    if (model->remove_extra_spaces) {
        end = trim_end(model, out, end);
    }
    if (model->add_dummy_prefix && model->space_is_suffix) {
        add_space(model, out, end);
    }
    return end;
}

/* Offers a row that ends in piece `id`; of equals the first stays. */
static inline void offer(struct best_row *row, double score, int32_t id, size_t begin)
{
    if (row->begin == NO_ROW || score > row->score) {
        *row = (struct best_row){score, id, (uint32_t)begin};
    }
}

/* A sum as the model's kind has it. Of two floats, rounded once more, it is the sum of floats. */
static inline double sum_of(const struct unigram *model, double a, double b)
{
    return model->by_words ? a + b : (double)(float)(a + b);
}

static inline double score_of(const struct unigram *model, int32_t id, size_t size_bytes)
{
    return !model->by_words && model->types[id] == PIECE_TYPE_USER
               ? (double)(float)((double)((float)size_bytes * (float)model->highest_score) +
                                 user_bonus)
               : model->scores[id];
}

double unigram_score(const struct unigram *model, int32_t id, struct token_text text)
{
    return score_of(model, id, text.size_bytes);
}

/* Best rows that end at each byte of the normalised text, from left to right. */
static void search(const struct unigram *model, struct unigram_work *work, const char *text,
                   size_t size_bytes)
{
    memory_reserve((void **)&work->rows, &work->row_capacity, size_bytes + 1, sizeof *work->rows,
                   "best rows of pieces");
    struct best_row *const rows = work->rows;
    for (size_t i = 0; i <= size_bytes; i++) {
        rows[i] = (struct best_row){0, -1, NO_ROW};
    }
    const double unknown_score = sum_of(model, model->lowest_score, -unknown_penalty);
    for (size_t begin = 0; begin < size_bytes;) {
        const size_t left = size_bytes - begin;
        const size_t single = unigram_character_bytes(text + begin, left);
        const double so_far = rows[begin].score;
        bool has_single = false;
        uint32_t node = TRIE_ROOT;
        for (size_t i = 0; i < left;) {
            node = piece_trie_step(&model->pieces, node, (unsigned char)text[begin + i++]);
            if (node == TRIE_NONE) {
                break;
            }
            const int32_t id = model->pieces.cells[node].id;
            if (id >= 0) {
                offer(&rows[begin + i], sum_of(model, score_of(model, id, i), so_far), id, begin);
                has_single = has_single || i == single;
            }
        }
        if (!has_single) {
            offer(&rows[begin + single], sum_of(model, unknown_score, so_far), model->unknown,
                  begin);
        }
        begin += single;
    }
}

void unigram_push(struct unigram_work *work, int32_t id, size_t begin, size_t end)
{
    memory_reserve((void **)&work->pieces, &work->piece_capacity, work->piece_count + 1,
                   sizeof *work->pieces, "pieces of a text");
    work->pieces[work->piece_count++] = (struct unigram_piece){id, begin, end, 0};
}

/* Appends the best row of all of a text; begin and end count its bytes. */
static void trace(struct unigram_work *work, size_t size_bytes)
{
    const size_t first = work->piece_count;
    for (size_t end = size_bytes; end > 0;) {
        const struct best_row row = work->rows[end];
        INVARIANT(row.begin < end); /* each character is at least unknown */
        unigram_push(work, row.id, row.begin, end);
        end = row.begin;
    }
    for (size_t i = first, k = work->piece_count; i + 1 < k; i++) {
        const struct unigram_piece piece = work->pieces[i];
        work->pieces[i] = work->pieces[--k];
        work->pieces[k] = piece;
    }
}

/* Neighbouring unknown pieces from `first` on become one. */
static void fuse_unknown(const struct unigram *model, struct unigram_work *work, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < work->piece_count; i++) {
        const struct unigram_piece piece = work->pieces[i];
        if (kept > first && piece.id == model->unknown &&
            work->pieces[kept - 1].id == model->unknown) {
            work->pieces[kept - 1].end = piece.end;
        } else {
            work->pieces[kept++] = piece;
        }
    }
    work->piece_count = kept;
}

/* Unknown pieces of `text` from `first` on become those of their bytes, put behind the others and
 * then in their place. By words, each byte stands for all that is unknown together, else the last.
 */
static void spell_unknown(const struct unigram *model, struct unigram_work *work, const char *text,
                          size_t first)
{
    const size_t count = work->piece_count;
    for (size_t i = first; i < count; i++) {
        const struct unigram_piece piece = work->pieces[i];
        if (piece.id != model->unknown) {
            unigram_push(work, piece.id, piece.begin, piece.end);
            continue;
        }
        for (size_t at = piece.begin; at < piece.end; at++) {
            const bool whole = model->by_words || at + 1 == piece.end;
            unigram_push(work, model->byte_ids[(unsigned char)text[at]], piece.begin,
                         whole ? piece.end : piece.begin);
        }
    }
    memmove(work->pieces + first, work->pieces + count,
            (work->piece_count - count) * sizeof *work->pieces);
    work->piece_count -= count - first;
}

size_t unigram_cover(const struct unigram *model, struct unigram_work *work, const char *text,
                     size_t size_bytes)
{
    const size_t first = work->piece_count;
    if (size_bytes > 0) {
        if (model->search == PIECE_SEARCH_BEST_ROW) {
            search(model, work, text, size_bytes);
            trace(work, size_bytes);
        } else {
            piece_merges(model, work, text, size_bytes);
        }
        if (model->by_words || !model->byte_fallback) {
            fuse_unknown(model, work, first);
        }
        if (model->byte_fallback) {
            spell_unknown(model, work, text, first);
        }
    }
    return first;
}

const struct unigram_piece *unigram_encode(const struct unigram *model, struct unigram_work *work,
                                           const char *text, size_t size_bytes, size_t base,
                                           bool with_places, size_t *count)
{
    work->normal.size_bytes = 0;
    work->normal.with_origins = with_places;
    work->piece_count = 0;
    const size_t end = normalize(model, text, size_bytes, base, &work->normal);
    (void)unigram_cover(model, work, work->normal.bytes, work->normal.size_bytes);
    const size_t normal_bytes = work->normal.size_bytes;
    for (size_t i = 0; i < work->piece_count && with_places; i++) {
        struct unigram_piece *const piece = &work->pieces[i];
        const struct text_origin *const origins = work->normal.origins;
        piece->begin = origins[piece->begin].begin;
        piece->end = piece->end < normal_bytes ? origins[piece->end].begin : end;
    }
    *count = work->piece_count;
    return work->pieces;
}
