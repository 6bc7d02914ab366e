/* data_pipeline/corpus_shard and corpus_shelf on hand-made content: wide ids, and well-formed files
 * with wrong content. */
#include "data_pipeline/corpus_shard.h"

#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/corpus_shelf.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

static struct corpus_facts facts_for(int64_t vocabulary)
{
    return (struct corpus_facts){.vocabulary = vocabulary,
                                 .tokenizer = {.low = 1, .high = 2},
                                 .specials = {.bos = 0, .pad = 1, .eos = 2, .unk = 3, .mask = 4}};
}

START_TEST(test_corpus_shelf_keeps_wide_ids_and_whole_documents)
{
    char folder[PATH_BYTES];
    struct error error;
    const struct corpus_facts facts = facts_for(70000);
    CHECK_OK(folder_make(fixture_path(folder, "wide"), &error), error);
    struct corpus_shelf shelf;
    corpus_shelf_init(&shelf, folder, &facts, 10);
    static const int32_t ids[] = {69999, 5, 65536, 65535, 7, 8, 9};
    for (uint64_t i = 0; i < 5; i++) {
        static const int64_t lines[] = {40, 42}; /* counted from somewhere else */
        const struct corpus_shelf_document document = {
            .ids = ids,
            .count = 1 + (int64_t)i,
            .lines = lines,
            .line_count = i < 2 ? 1 : 2,
            .first_token = 40,
            .hash = 100 + i,
        };
        CHECK_OK(corpus_shelf_add(&shelf, &document, &error), error);
    }
    CHECK_OK(corpus_shelf_finish(&shelf, &error), error);
    ck_assert_int_eq(shelf.entry_count, 2); /* 1 + 2 + 3 + 4 tokens, then 5 */
    json_t *const nothing = json_array();
    CHECK_OK(corpus_manifest_write(folder, &facts, shelf.entries, shelf.entry_count, nothing,
                                   nothing, &error),
             error);
    json_decref(nothing);
    corpus_shelf_deinit(&shelf);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, folder, false, &error), error);
    ck_assert_int_eq(corpus->document_count, 5);
    ck_assert(corpus_has_lines(corpus));
    for (int64_t i = 0; i < 5; i++) {
        int32_t found[8];
        const int64_t *lines;
        int64_t first;
        ck_assert_int_eq(corpus_document_lines(corpus, i, &lines, &first), i < 2 ? 1 : 2);
        ck_assert_int_eq(lines[0], first);
        ck_assert(i < 2 || lines[1] == first + 2);
        ck_assert_int_eq(corpus_document_tokens(corpus, i), 1 + i);
        ck_assert_uint_eq(corpus_document_hash(corpus, i), 100 + (uint64_t)i);
        corpus_document_copy(corpus, i, 0, 1 + i, found);
        ck_assert_int_eq(memcmp(found, ids, (size_t)(1 + i) * sizeof *ids), 0);
    }
    corpus_close(corpus);
}
END_TEST

/* Writes three documents and opens them as `facts` say; four lines, or NULL. */
static enum status write_lines_and_open(const char *name, const uint16_t ids[6],
                                        const int64_t offsets[4], const int64_t *lines,
                                        const struct corpus_facts *facts, struct error *error)
{
    char folder[PATH_BYTES];
    const struct corpus_facts written = facts_for(50);
    const uint64_t hashes[] = {1, 2, 3};
    const struct corpus_shard_content content = {
        .tokens = ids,
        .token_count = 6,
        .offsets = offsets,
        .hashes = hashes,
        .document_count = 3,
        .lines = lines,
        .line_count = lines == NULL ? 0 : 4,
    };
    struct corpus_shard_entry entry = {.name = "corpus-00000.h5"};
    CHECK_OK(folder_make(fixture_path(folder, name), error), *error);
    CHECK_OK(corpus_shard_write(folder, &written, &content, &entry, error), *error);
    struct corpus_shard shard;
    const enum status status = corpus_shard_open(&shard, folder, facts, &entry, error);
    corpus_shard_close(&shard);
    return status;
}

static enum status write_and_open(const char *name, const uint16_t ids[6], const int64_t offsets[4],
                                  const struct corpus_facts *facts, struct error *error)
{
    return write_lines_and_open(name, ids, offsets, NULL, facts, error);
}

START_TEST(test_corpus_shard_refuses_lines_that_cannot_be)
{
    static const uint16_t ids[] = {5, 6, 7, 8, 9, 49};
    static const int64_t offsets[] = {0, 2, 3, 6};
    static const int64_t good[] = {0, 2, 3, 5};
    static const int64_t bad[][4] = {
        {0, 2, 3, 6},  /* beyond the tokens */
        {0, 1, 3, 5},  /* no line at the second document */
        {0, 2, 2, 3},  /* twice the same */
        {0, 3, 2, 5},  /* falling */
        {-1, 0, 2, 3}, /* before the tokens */
        {0, 1, 2, 4},  /* no line at the third document */
    };
    const struct corpus_facts facts = facts_for(50);
    struct error error;
    CHECK_OK(write_lines_and_open("lines", ids, offsets, good, &facts, &error), error);
    for (int64_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        CHECK_FAILS(write_lines_and_open("lines", ids, offsets, bad[i], &facts, &error),
                    STATUS_FORMAT);
        ck_assert(strstr(error.message, "line_offsets") != NULL);
    }
}
END_TEST

START_TEST(test_corpus_shard_refuses_ids_offsets_and_attributes_that_cannot_be)
{
    static const uint16_t ids[] = {5, 6, 7, 8, 9, 49};
    static const uint16_t beyond[] = {5, 6, 7, 50, 9, 10};
    static const int64_t offsets[] = {0, 2, 3, 6};
    static const int64_t falling[] = {0, 3, 2, 6};
    static const int64_t empty[] = {0, 2, 2, 6};
    struct error error;
    struct corpus_facts facts = facts_for(50);
    CHECK_OK(write_and_open("hand", ids, offsets, &facts, &error), error);
    CHECK_FAILS(write_and_open("hand", beyond, offsets, &facts, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "token id 50 is not below the vocabulary of 50") != NULL);
    CHECK_FAILS(write_and_open("hand", ids, falling, &facts, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "document_offsets") != NULL);
    CHECK_FAILS(write_and_open("hand", ids, empty, &facts, &error), STATUS_FORMAT);
    facts.specials.mask = 5;
    CHECK_FAILS(write_and_open("hand", ids, offsets, &facts, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "special_ids") != NULL);
    facts = facts_for(50);
    facts.tokenizer.low = 9;
    CHECK_FAILS(write_and_open("hand", ids, offsets, &facts, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "tokenizer_fingerprint") != NULL);
    facts = facts_for(51);
    CHECK_FAILS(write_and_open("hand", ids, offsets, &facts, &error), STATUS_FORMAT);
    facts = facts_for(70000); /* would be wide */
    CHECK_FAILS(write_and_open("hand", ids, offsets, &facts, &error), STATUS_FORMAT);
}
END_TEST

/* At places spread over the whole file: HDF5's own structures, attributes, each dataset. */
START_TEST(test_corpus_shard_notices_every_flipped_bit)
{
    enum { FLIPS = 2400 };
    static const uint16_t ids[] = {5, 6, 7, 8, 9, 49};
    static const int64_t offsets[] = {0, 2, 3, 6};
    static const int64_t lines[] = {0, 2, 3, 5};
    static const uint64_t hashes[] = {1, 2, 3};
    const struct corpus_facts facts = facts_for(50);
    const struct corpus_shard_content content = {.tokens = ids,
                                                 .token_count = 6,
                                                 .offsets = offsets,
                                                 .hashes = hashes,
                                                 .document_count = 3,
                                                 .lines = lines,
                                                 .line_count = 4};
    struct corpus_shard_entry entry = {.name = "corpus-00000.h5"};
    struct corpus_shard shard;
    struct error error;
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    char *data;
    size_t size_bytes;
    CHECK_OK(folder_make(fixture_path(folder, "flips"), &error), error);
    CHECK_OK(corpus_shard_write(folder, &facts, &content, &entry, &error), error);
    CHECK_OK(path_join(path, folder, entry.name, &error), error);
    CHECK_OK(file_read(path, 1 << 20, &data, &size_bytes, &error), error);
    FILE *const file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < FLIPS; i++) {
        const size_t byte = i * size_bytes / FLIPS;
        const char flipped = (char)(data[byte] ^ (1 << (i % 8)));
        const char *const both[] = {&flipped, &data[byte]};
        for (int64_t k = 0; k < 2; k++) { /* flips it, and puts it back */
            ck_assert_int_eq(fseek(file, (long)byte, SEEK_SET), 0);
            ck_assert_uint_eq(fwrite(both[k], 1, 1, file), 1);
            ck_assert_int_eq(fflush(file), 0);
            if (k == 0) {
                ck_assert_msg(corpus_shard_open(&shard, folder, &facts, &entry, &error) ==
                                  STATUS_FORMAT,
                              "bit %zu of byte %zu", i % 8, byte);
                corpus_shard_close(&shard);
            }
        }
    }
    ck_assert_int_eq(fclose(file), 0);
    CHECK_OK(corpus_shard_open(&shard, folder, &facts, &entry, &error), error);
    corpus_shard_close(&shard);
    memory_release(data);
}
END_TEST

int main(void)
{
    return suite_run(
        "corpus_shard",
        (const TTest *[]){test_corpus_shelf_keeps_wide_ids_and_whole_documents,
                          test_corpus_shard_refuses_lines_that_cannot_be,
                          test_corpus_shard_refuses_ids_offsets_and_attributes_that_cannot_be,
                          test_corpus_shard_notices_every_flipped_bit, NULL});
}
