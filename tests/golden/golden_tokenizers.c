/* golden_tokenizers FOLDER…: compares tokenizers with reference tables. A folder holds tables
 * itself (tokenizer.json with encode.jsonl and others, or jobs.json with texts and merges) or
 * folders that do. Prints a line for each table; exits 1 on a miss, 2 on unreadable input or when
 * nothing was compared. Kinds that are not supported are skipped, with the reason. Text of
 * invalid_utf8.jsonl is repaired first (utf8_repair), as the reference does. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data_pipeline/tokenizer.h"
#include "data_pipeline/tokenizer_files.h"
#include "data_pipeline/tokenizer_train.h"
#include "data_pipeline/utf8.h"

enum { FILE_BYTES_MAX = 1 << 30, DEPTH_MAX = 4, MISSES_SHOWN = 3 };

/* What a run found, and the buffers that all rows share. */
struct check {
    const char *folder; /* whose tables are compared */
    const struct tokenizer *tokenizer;
    struct tokenizer_work *work;
    struct token_list first;
    struct token_list second;
    struct token_list ids;
    struct token_list types;
    struct token_places places;
    int64_t tables;
    int64_t misses;  /* tables that failed */
    bool unreadable; /* a file could not be read */
};

typedef bool (*row_check)(struct check *check, const json_t *row);

static bool same_ids(const json_t *expected, const struct token_list *got)
{
    if (!json_is_array(expected) || json_array_size(expected) != got->count) {
        return false;
    }
    for (size_t i = 0; i < got->count; i++) {
        if (json_integer_value(json_array_get(expected, i)) != got->ids[i]) {
            return false;
        }
    }
    return true;
}

static void encode_value(struct check *check, const json_t *text, struct token_list *out)
{
    out->count = 0;
    tokenizer_encode(check->tokenizer, check->work, json_string_value(text),
                     json_string_length(text), true, out);
}

static bool decodes_to(const struct check *check, const struct token_list *ids, bool skip_specials,
                       const json_t *expected)
{
    char *text = NULL;
    size_t size_bytes = 0;
    if (tokenizer_decode(check->tokenizer, ids->ids, ids->count, skip_specials, &text, &size_bytes,
                         NULL) != STATUS_OK) {
        return false;
    }
    const bool same = size_bytes == json_string_length(expected) &&
                      memcmp(text, json_string_value(expected), size_bytes) == 0;
    memory_release(text);
    return same;
}

static bool pair_is(const json_t *pair, size_t begin, size_t end)
{
    return json_integer_value(json_array_get(pair, 0)) == (json_int_t)begin &&
           json_integer_value(json_array_get(pair, 1)) == (json_int_t)end;
}

static bool same_places(const struct check *check, const json_t *row)
{
    const json_t *const offsets = json_object_get(row, "offsets");
    const json_t *const byte_offsets = json_object_get(row, "byte_offsets");
    const json_t *const words = json_object_get(row, "words");
    const json_t *const tokens = json_object_get(row, "tokens");
    for (size_t i = 0; i < check->places.count; i++) {
        const struct token_place *const place = &check->places.items[i];
        const char *const name = tokenizer_token(check->tokenizer, check->first.ids[i]);
        const char *const expected = json_string_value(json_array_get(tokens, i));
        if ((offsets != NULL &&
             !pair_is(json_array_get(offsets, i), place->character_begin, place->character_end)) ||
            (byte_offsets != NULL &&
             !pair_is(json_array_get(byte_offsets, i), place->byte_begin, place->byte_end)) ||
            (words != NULL && json_integer_value(json_array_get(words, i)) != place->word) ||
            (tokens != NULL && (expected == NULL || strcmp(name, expected) != 0))) {
            return false;
        }
    }
    return true;
}

static bool check_encode(struct check *check, const json_t *row)
{
    const json_t *const text = json_object_get(row, "text");
    encode_value(check, text, &check->first);
    if (!same_ids(json_object_get(row, "ids"), &check->first)) {
        return false;
    }
    const json_t *const decoded = json_object_get(row, "decoded");
    if (decoded == NULL) {
        return true; /* a table of ids only */
    }
    tokenizer_encode_places(check->tokenizer, check->work, json_string_value(text),
                            json_string_length(text), true, &check->first, &check->places);
    size_t real_count = 0;
    return same_ids(json_object_get(row, "ids"), &check->first) && same_places(check, row) &&
           decodes_to(check, &check->first, false, decoded) &&
           tokenizer_wrap(check->tokenizer, &check->first, NULL, &(struct wrap_options){0},
                          &check->ids, NULL, &real_count, NULL) == STATUS_OK &&
           same_ids(json_object_get(row, "ids_special"), &check->ids) &&
           decodes_to(check, &check->ids, true, json_object_get(row, "decoded_skip_special"));
}

/* sentencepiece itself, which does not look for control pieces in the text. */
static bool check_sentencepiece(struct check *check, const json_t *row)
{
    const json_t *const text = json_object_get(row, "text");
    const json_t *const ids = json_object_get(row, "ids");
    check->ids.count = 0;
    tokenizer_encode(check->tokenizer, check->work, json_string_value(text),
                     json_string_length(text), false, &check->ids);
    tokenizer_encode_places(check->tokenizer, check->work, json_string_value(text),
                            json_string_length(text), false, &check->first, &check->places);
    return same_ids(ids, &check->ids) && same_ids(ids, &check->first) && same_places(check, row) &&
           decodes_to(check, &check->ids, false, json_object_get(row, "decoded"));
}

/* The tokenizer.json of a SentencePiece folder, as transformers uses it. */
static bool check_hf_ids(struct check *check, const json_t *row)
{
    const json_t *const text = json_object_get(row, "text");
    const json_t *const ids = json_object_get(row, "hf_ids");
    encode_value(check, text, &check->ids);
    tokenizer_encode_places(check->tokenizer, check->work, json_string_value(text),
                            json_string_length(text), true, &check->first, &check->places);
    return same_ids(ids, &check->ids) && same_ids(ids, &check->first);
}

static bool check_decode(struct check *check, const json_t *row)
{
    const json_t *const ids = json_object_get(row, "ids");
    check->first.count = 0;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        token_list_add(&check->first, (int32_t)json_integer_value(json_array_get(ids, i)));
    }
    return decodes_to(check, &check->first, false, json_object_get(row, "decoded"));
}

static int hex_value(char digit)
{
    const char digits[] = "0123456789abcdef";
    const char *const place = digit == '\0' ? NULL : strchr(digits, digit);
    return place == NULL ? 0 : (int)(place - digits);
}

static bool check_invalid(struct check *check, const json_t *row)
{
    const json_t *const hex = json_object_get(row, "hex");
    const json_t *const expected = json_object_get(row, "replaced_text");
    const char *const digits = json_string_value(hex);
    const size_t size_bytes = json_string_length(hex) / 2;
    char *const raw = memory_take(size_bytes + 1, 1, "raw bytes");
    char *const text = memory_take(size_bytes + 1, 3, "repaired text");
    for (size_t i = 0; i < size_bytes; i++) {
        raw[i] = (char)(hex_value(digits[2 * i]) * 16 + hex_value(digits[2 * i + 1]));
    }
    const size_t text_bytes = utf8_repair(raw, size_bytes, text);
    check->first.count = 0;
    tokenizer_encode(check->tokenizer, check->work, text, text_bytes, true, &check->first);
    const bool same = text_bytes == json_string_length(expected) &&
                      memcmp(text, json_string_value(expected), text_bytes) == 0 &&
                      same_ids(json_object_get(row, "ids"), &check->first);
    memory_release(raw);
    memory_release(text);
    return same;
}

static enum truncation truncation_of(const json_t *value)
{
    const char *const name = json_string_value(value);
    if (name == NULL) {
        return TRUNCATION_NONE;
    }
    if (strcmp(name, "only_first") == 0) {
        return TRUNCATION_ONLY_FIRST;
    }
    return strcmp(name, "only_second") == 0 ? TRUNCATION_ONLY_SECOND : TRUNCATION_LONGEST_FIRST;
}

static bool check_pair(struct check *check, const json_t *row)
{
    const json_t *const pair = json_object_get(row, "pair");
    const bool paired = json_is_string(pair);
    encode_value(check, json_object_get(row, "text"), &check->first);
    if (paired) {
        encode_value(check, pair, &check->second);
    }
    const json_t *const longest = json_object_get(row, "max_length");
    const struct wrap_options options = {
        .token_count_max = (size_t)json_integer_value(longest),
        .truncation = json_is_integer(longest) ? truncation_of(json_object_get(row, "truncation"))
                                               : TRUNCATION_NONE,
        .pad = json_is_integer(longest) && json_is_string(json_object_get(row, "padding")),
    };
    size_t real_count = 0;
    if (tokenizer_wrap(check->tokenizer, &check->first, paired ? &check->second : NULL, &options,
                       &check->ids, &check->types, &real_count, NULL) != STATUS_OK) {
        return false;
    }
    const json_t *const mask = json_object_get(row, "attention_mask");
    for (size_t i = 0; i < check->ids.count; i++) {
        if (json_integer_value(json_array_get(mask, i)) != (i < real_count)) {
            return false;
        }
    }
    return same_ids(json_object_get(row, "input_ids"), &check->ids) &&
           same_ids(json_object_get(row, "token_type_ids"), &check->types);
}

static void report(struct check *check, const char *folder, const char *table, int64_t rows,
                   int64_t missed)
{
    printf("%s %s/%s: %" PRId64 " of %" PRId64 " rows agree\n",
           missed == 0 && rows > 0 ? "ok  " : "MISS", path_name(folder), table, rows - missed,
           rows);
    check->tables++;
    check->misses += missed > 0 || rows == 0;
}

static void unreadable(struct check *check, const struct error *error)
{
    printf("FAIL %s\n", error->message);
    check->unreadable = true;
}

/* Runs `row_check` on each line of a table, if the folder has it. */
static void check_table(struct check *check, const char *folder, const char *name,
                        row_check verdict)
{
    struct error error = {0};
    char path[PATH_BYTES];
    char *text = NULL;
    size_t size_bytes = 0;
    if (path_join(path, folder, name, &error) != STATUS_OK || !file_exists(path)) {
        return;
    }
    if (file_read(path, FILE_BYTES_MAX, &text, &size_bytes, &error) != STATUS_OK) {
        unreadable(check, &error);
        return;
    }
    int64_t rows = 0;
    int64_t missed = 0;
    for (size_t at = 0; at < size_bytes;) {
        const char *const newline = memchr(text + at, '\n', size_bytes - at);
        const size_t length = newline == NULL ? size_bytes - at : (size_t)(newline - text) - at;
        json_t *row = NULL;
        if (length > 0 && json_read_text(path, text + at, length, &row, &error) != STATUS_OK) {
            unreadable(check, &error);
            break;
        }
        if (length > 0) {
            rows++;
            if (!verdict(check, row) && missed++ < MISSES_SHOWN) {
                printf("     row %" PRId64 ": %.*s\n", rows, (int)(length < 300 ? length : 300),
                       text + at);
            }
        }
        json_decref(row);
        at += length + 1;
    }
    memory_release(text);
    report(check, folder, name, rows, missed);
}

/* The folder's tokenizer.json with other settings: those of `changes` in its part `part`. */
static struct tokenizer *open_variant(const char *folder, const char *part, json_t *changes,
                                      struct error *error)
{
    char path[PATH_BYTES];
    json_t *root = NULL;
    struct tokenizer *tokenizer = NULL;
    if (path_join(path, folder, "tokenizer.json", error) != STATUS_OK || !file_exists(path) ||
        json_read_file(path, FILE_BYTES_MAX, &root, error) != STATUS_OK) {
        return NULL;
    }
    json_object_update(json_object_get(root, part), changes);
    char *const text = json_text(root, 0);
    json_decref(root);
    if (text == NULL || tokenizer_parse(&tokenizer, text, strlen(text), path, error) != STATUS_OK) {
        tokenizer = NULL;
    }
    memory_release(text);
    return tokenizer;
}

/* A row that names settings of BERT's normaliser. */
static bool check_bert_variant(struct check *check, const json_t *row)
{
    struct error error = {0};
    const struct tokenizer *const kept = check->tokenizer;
    json_t *const changes = json_object();
    json_object_set(changes, "lowercase", json_object_get(row, "do_lower_case"));
    json_object_set(changes, "strip_accents", json_object_get(row, "strip_accents"));
    json_object_set(changes, "handle_chinese_chars",
                    json_object_get(row, "tokenize_chinese_chars"));
    struct tokenizer *const variant = open_variant(check->folder, "normalizer", changes, &error);
    json_decref(changes);
    if (variant == NULL) {
        unreadable(check, &error);
        return false;
    }
    check->tokenizer = variant;
    const bool same = check_encode(check, row);
    check->tokenizer = kept;
    tokenizer_close(variant);
    return same;
}

/* Tables of a folder, with the tokenizer that its file `name` holds, if it has one. */
static void check_file(struct check *check, const char *folder, const char *name, row_check verdict)
{
    char path[PATH_BYTES];
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    if (path_join(path, folder, name, &error) != STATUS_OK || !file_exists(path)) {
        return;
    }
    if (tokenizer_open(&tokenizer, path, &error) != STATUS_OK) {
        unreadable(check, &error);
        return;
    }
    check->tokenizer = tokenizer;
    check_table(check, folder, "encode.jsonl", verdict);
    check_table(check, folder, "encode_pairs.jsonl", check_pair);
    tokenizer_close(tokenizer);
}

static void check_folder_tables(struct check *check, const char *folder)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    char model_path[PATH_BYTES];
    if (path_join(model_path, folder, "spiece.model", &error) == STATUS_OK &&
        file_exists(model_path)) {
        check_file(check, folder, "spiece.model", check_sentencepiece);
        check_file(check, folder, "tokenizer.json", check_hf_ids);
        return;
    }
    if (tokenizer_open(&tokenizer, folder, &error) != STATUS_OK) {
        if (strstr(error.message, "not supported") != NULL ||
            strstr(error.message, "no tokenizer there") != NULL) {
            printf("skip %s: %s\n", path_name(folder), error.message);
            return;
        }
        unreadable(check, &error);
        return;
    }
    check->tokenizer = tokenizer;
    check_table(check, folder, "encode.jsonl", check_encode);
    check_table(check, folder, "encode_pairs.jsonl", check_pair);
    check_table(check, folder, "decode_partial.jsonl", check_decode);
    check_table(check, folder, "invalid_utf8.jsonl", check_invalid);
    check->folder = folder;
    check_table(check, folder, "encode_variants.jsonl", check_bert_variant);
    tokenizer_close(tokenizer);
    check_file(check, folder, "vocab.txt", check_encode);
    json_t *const prefixed = json_pack("{sb}", "add_prefix_space", 1);
    tokenizer = open_variant(folder, "pre_tokenizer", prefixed, &error);
    json_decref(prefixed);
    if (tokenizer != NULL) {
        check->tokenizer = tokenizer;
        check_table(check, folder, "encode_add_prefix_space.jsonl", check_encode);
        tokenizer_close(tokenizer);
    }
}

/* Trains one job of bpe_train and compares the merges, line by line. */
static enum status check_job(struct check *check, const char *folder, const json_t *job,
                             struct error *error)
{
    const char *name = NULL;
    const char *text_name = NULL;
    const char *merges_name = NULL;
    int64_t vocabulary = 0;
    int64_t min_frequency = 0;
    json_t *specials = NULL;
    TRY(json_member_text(job, "name", folder, &name, error));
    TRY(json_member_text(job, "text", folder, &text_name, error));
    TRY(json_member_text(job, "merges", folder, &merges_name, error));
    TRY(json_member_integer(job, "vocab_size", folder, &vocabulary, error));
    TRY(json_member_integer(job, "min_frequency", folder, &min_frequency, error));
    TRY(json_member_array(job, "special_tokens", folder, &specials, error));
    const char *names[TRAIN_SPECIALS_MAX] = {NULL};
    for (size_t i = 0; i < json_array_size(specials) && i < TRAIN_SPECIALS_MAX; i++) {
        names[i] = json_string_value(json_array_get(specials, i));
    }
    const struct tokenizer_train_options options = {.vocabulary = vocabulary,
                                                    .min_frequency = min_frequency,
                                                    .specials = names,
                                                    .special_count =
                                                        (int64_t)json_array_size(specials)};
    char path[PATH_BYTES];
    char *text = NULL;
    size_t size_bytes = 0;
    TRY(path_join(path, folder, text_name, error));
    TRY(file_read(path, FILE_BYTES_MAX, &text, &size_bytes, error));
    struct tokenizer_trainer *trainer = NULL;
    TRY(tokenizer_trainer_open(&trainer, &options, error));
    for (size_t at = 0; at < size_bytes;) {
        const char *const newline = memchr(text + at, '\n', size_bytes - at);
        const size_t end = newline == NULL ? size_bytes : (size_t)(newline - text) + 1;
        TRY(tokenizer_trainer_add(trainer, text + at, end - at, error));
        at = end;
    }
    memory_release(text);
    struct tokenizer *tokenizer = NULL;
    TRY(tokenizer_trainer_finish(trainer, &tokenizer, error));
    char *expected = NULL;
    char *got = NULL;
    size_t expected_bytes = 0;
    size_t got_bytes = 0;
    TRY(path_join(path, folder, merges_name, error));
    TRY(file_read(path, FILE_BYTES_MAX, &expected, &expected_bytes, error));
    tokenizer_merges_text(tokenizer, "", &got, &got_bytes);
    int64_t rows = 0;
    int64_t missed = 0;
    for (size_t i = 0; i < expected_bytes; i++) {
        rows += expected[i] == '\n';
    }
    if (expected_bytes != got_bytes || memcmp(expected, got, got_bytes) != 0) {
        missed = rows > 0 ? rows : 1;
    }
    memory_release(expected);
    memory_release(got);
    tokenizer_close(tokenizer);
    report(check, folder, name, rows, missed);
    return STATUS_OK;
}

static void check_jobs(struct check *check, const char *folder, const char *jobs_path)
{
    struct error error = {0};
    json_t *jobs = NULL;
    if (json_read_file(jobs_path, FILE_BYTES_MAX, &jobs, &error) != STATUS_OK) {
        unreadable(check, &error);
        return;
    }
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        if (check_job(check, folder, json_array_get(jobs, i), &error) != STATUS_OK) {
            unreadable(check, &error);
        }
    }
    json_decref(jobs);
}

static void check_folder(struct check *check, const char *folder, int depth)
{
    struct error error = {0};
    char path[PATH_BYTES];
    if (!folder_exists(folder)) {
        printf("FAIL \"%s\" is not a folder\n", folder);
        check->unreadable = true;
        return;
    }
    if (path_join(path, folder, "jobs.json", &error) == STATUS_OK && file_exists(path)) {
        check_jobs(check, folder, path);
        return;
    }
    if (path_join(path, folder, "encode.jsonl", &error) == STATUS_OK && file_exists(path)) {
        check_folder_tables(check, folder);
        return;
    }
    struct folder_list list;
    if (depth == DEPTH_MAX || folder_list_open(&list, folder, &error) != STATUS_OK) {
        return;
    }
    for (int64_t i = 0; i < list.count; i++) {
        if (path_join(path, folder, list.names[i], &error) == STATUS_OK && folder_exists(path)) {
            check_folder(check, path, depth + 1);
        }
    }
    folder_list_close(&list);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: golden_tokenizers FOLDER...\n");
        return 2;
    }
    struct check check = {.work = tokenizer_work_open()};
    for (int i = 1; i < argc; i++) {
        check_folder(&check, argv[i], 0);
    }
    tokenizer_work_close(check.work);
    token_list_deinit(&check.first);
    token_list_deinit(&check.second);
    token_list_deinit(&check.ids);
    token_list_deinit(&check.types);
    token_places_deinit(&check.places);
    if (check.unreadable || check.tables == 0) {
        printf("nothing proved: %" PRId64 " tables compared\n", check.tables);
        return 2;
    }
    return check.misses > 0 ? 1 : 0;
}
