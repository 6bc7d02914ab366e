/* data_pipeline/corpus_build, corpus_folder and corpus_shard: the same bits on any number of
 * threads, whole or nothing, and every damaged file refused. */
#include "data_pipeline/corpus_build.h"

#include <stdlib.h>

#include "data_pipeline/corpus_folder.h"
#include "data_pipeline/tokenizer.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

static void check_same_files(const char *first, const char *second)
{
    struct error error;
    struct folder_list list;
    CHECK_OK(folder_list_open(&list, first, &error), error);
    for (int64_t i = 0; i < list.count; i++) {
        char a[PATH_BYTES];
        char b[PATH_BYTES];
        CHECK_OK(path_join(a, first, list.names[i], &error), error);
        CHECK_OK(path_join(b, second, list.names[i], &error), error);
        if (folder_exists(a)) {
            continue;
        }
        struct digest digest_a;
        struct digest digest_b;
        int64_t size;
        CHECK_OK(file_digest(a, &digest_a, &size, &error), error);
        CHECK_OK(file_digest(b, &digest_b, &size, &error), error);
        ck_assert_msg(digest_equal(digest_a, digest_b), "%s differs", list.names[i]);
    }
    folder_list_close(&list);
}

START_TEST(test_corpus_build_gives_the_same_files_on_one_and_four_threads)
{
    char text[PATH_BYTES];
    char one[PATH_BYTES];
    char four[PATH_BYTES];
    struct corpus_build_result result;
    struct error error;
    (void)fixture_text(text, "threads.txt", 6000); /* several chunks */
    CHECK_OK(fixture_build(one, "threads-1", text, 1, 50000, &result, &error), error);
    ck_assert_int_gt(result.shards, 2);
    ck_assert_int_eq(result.documents, 6000);
    CHECK_OK(fixture_build(four, "threads-4", text, 4, 50000, &result, &error), error);
    check_same_files(one, four);
}
END_TEST

START_TEST(test_corpus_holds_the_ids_of_the_documents_in_order)
{
    char text[PATH_BYTES];
    char out[PATH_BYTES];
    struct corpus_build_result result;
    struct error error;
    (void)fixture_write(text, "two.txt", "The harbour wakes.\nAgain.\n\nTalk <mask> here.\n", 45);
    CHECK_OK(fixture_build(out, "two", text, 1, 1000, &result, &error), error);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    struct tokenizer *tokenizer;
    CHECK_OK(tokenizer_open(&tokenizer, corpus->tokenizer, &error), error);
    static const char *const expected[] = {"The harbour wakes.\nAgain.", "Talk <mask> here."};
    ck_assert_int_eq(corpus->document_count, 2);
    for (int64_t i = 0; i < 2; i++) {
        int32_t ids[64];
        const int64_t count = corpus_document_tokens(corpus, i);
        ck_assert_int_le(count, 64);
        corpus_document_copy(corpus, i, 0, count, ids);
        char *decoded;
        size_t size;
        CHECK_OK(tokenizer_decode(tokenizer, ids, (size_t)count, false, &decoded, &size, &error),
                 error);
        ck_assert_str_eq(decoded, expected[i]);
        memory_release(decoded);
        for (int64_t j = 0; j < count; j++) {
            ck_assert(
                !tokenizer_is_special(tokenizer, ids[j])); /* also where the text says <mask> */
        }
        ck_assert_uint_eq(corpus_document_hash(corpus, i),
                          hash_bytes(expected[i], strlen(expected[i]), 0));
    }
    tokenizer_close(tokenizer);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_knows_where_lines_begin)
{
    static const char text[] = "The harbour wakes.\nAgain and\n  again.\n\nOne line.\n";
    static const char *const expected[] = {"The harbour wakes.\n", "Again and\n", "  again.",
                                           "One line."};
    char path[PATH_BYTES];
    char out[PATH_BYTES];
    struct corpus_build_result result;
    struct error error;
    (void)fixture_write(path, "lines.txt", text, sizeof text - 1);
    CHECK_OK(fixture_build(out, "lines", path, 1, 1000, &result, &error), error);
    struct corpus *corpus;
    struct tokenizer *tokenizer;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    CHECK_OK(tokenizer_open(&tokenizer, corpus->tokenizer, &error), error);
    ck_assert(corpus_has_lines(corpus));
    int64_t seen = 0;
    for (int64_t i = 0; i < 2; i++) {
        const int64_t *lines;
        int64_t first;
        const int64_t count = corpus_document_lines(corpus, i, &lines, &first);
        ck_assert_int_eq(count, i == 0 ? 3 : 1);
        for (int64_t j = 0; j < count; j++, seen++) {
            const int64_t begin = lines[j] - first;
            const int64_t end =
                j + 1 < count ? lines[j + 1] - first : corpus_document_tokens(corpus, i);
            int32_t ids[64];
            char *decoded;
            size_t size;
            ck_assert_int_le(end - begin, 64);
            corpus_document_copy(corpus, i, begin, end - begin, ids);
            CHECK_OK(tokenizer_decode(tokenizer, ids, (size_t)(end - begin), false, &decoded, &size,
                                      &error),
                     error);
            /* Blanks before a line's first word may stand with its line feed. */
            ck_assert_msg(strstr(expected[seen], decoded + strspn(decoded, " \n")) != NULL, "%s",
                          decoded);
            memory_release(decoded);
        }
    }
    tokenizer_close(tokenizer);
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_build_leaves_nothing_after_a_failure_and_keeps_what_exists)
{
    char text[PATH_BYTES];
    char out[PATH_BYTES];
    char partial[PATH_BYTES];
    struct corpus_build_result result;
    struct error error;
    (void)fixture_write(text, "invalid.txt", "good\n\nbad \xff\n", 12);
    CHECK_FAILS(fixture_build(out, "invalid", text, 2, 1000, &result, &error), STATUS_FORMAT);
    ck_assert(strstr(error.message, "byte 10") != NULL);
    ck_assert(!folder_exists(out));
    ck_assert(!folder_exists(fixture_path(partial, "invalid.partial")));
    (void)fixture_write(text, "nothing.txt", "\n\n", 2);
    CHECK_FAILS(fixture_build(out, "invalid", text, 2, 1000, &result, &error), STATUS_INPUT);
    fixture_corpus(out, "kept", 20);
    (void)fixture_text(text, "kept-other.txt", 10);
    CHECK_FAILS(fixture_build(out, "kept", text, 2, 1000, &result, &error), STATUS_INPUT);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    ck_assert_int_eq(corpus->document_count, 20);
    corpus_close(corpus);
}
END_TEST

static bool watch_stop(void *context, const struct corpus_build_progress *progress)
{
    *(int64_t *)context = progress->documents;
    return false;
}

START_TEST(test_corpus_build_replaces_a_corpus_only_when_whole)
{
    char text[PATH_BYTES];
    char out[PATH_BYTES];
    char tokenizer[PATH_BYTES];
    fixture_corpus(out, "replace", 20);
    const char *const sources[] = {fixture_text(text, "replace-new.txt", 30)};
    int64_t seen = 0;
    struct corpus_build_options options = {
        .sources = sources,
        .source_count = 1,
        .tokenizer = fixture_golden(tokenizer, "tokenizers/bpe_roberta"),
        .out = out,
        .replace = true,
        .watch = watch_stop,
        .watch_context = &seen,
    };
    struct corpus_build_result result;
    struct error error;
    CHECK_FAILS(corpus_build(&options, &result, &error), STATUS_INTERRUPTED);
    ck_assert_int_eq(seen, 30);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    ck_assert_int_eq(corpus->document_count, 20);
    corpus_close(corpus);
    options.watch = NULL;
    CHECK_OK(corpus_build(&options, &result, &error), error);
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    ck_assert_int_eq(corpus->document_count, 30);
    corpus_close(corpus);
    options.out = suite_scratch(); /* a folder that is no corpus */
    CHECK_FAILS(corpus_build(&options, &result, &error), STATUS_INPUT);
}
END_TEST

/* Opens the corpus with the shard's content replaced; the shard is put back after. */
static void check_damage_refused(const char *folder, const char *shard, const char *content,
                                 size_t size_bytes)
{
    struct error error = {0};
    struct corpus *corpus;
    CHECK_OK(file_write_durable(shard, content, size_bytes, &error), error);
    CHECK_FAILS(corpus_open(&corpus, folder, false, &error), STATUS_FORMAT);
    ck_assert_msg(strstr(error.message, "corpus-00000.h5") != NULL, "%s", error.message);
}

START_TEST(test_corpus_open_refuses_a_shard_cut_or_changed_anywhere)
{
    char out[PATH_BYTES];
    char shard[PATH_BYTES];
    char *content;
    size_t size;
    struct error error;
    fixture_corpus(out, "damage", 40);
    CHECK_OK(path_join(shard, out, "corpus-00000.h5", &error), error);
    CHECK_OK(file_read(shard, 1 << 24, &content, &size, &error), error);
    for (size_t i = 0; i < 64; i++) {
        const size_t place = i * (size - 1) / 63;
        check_damage_refused(out, shard, content, place);
        content[place] ^= 4;
        check_damage_refused(out, shard, content, size);
        content[place] ^= 4;
    }
    check_damage_refused(out, shard, "not HDF5\n", 9);
    CHECK_OK(file_write_durable(shard, content, size, &error), error);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    corpus_close(corpus);
    memory_release(content);
}
END_TEST

START_TEST(test_corpus_open_leaves_out_a_bad_shard_on_request)
{
    char out[PATH_BYTES];
    char shard[PATH_BYTES];
    struct error error;
    fixture_corpus(out, "skip", 200);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    const int64_t shards = corpus->shard_count;
    const struct digest whole = corpus->fingerprint;
    ck_assert_int_ge(shards, 2);
    corpus_close(corpus);
    CHECK_OK(path_join(shard, out, "corpus-00001.h5", &error), error);
    CHECK_OK(file_remove(shard, &error), error);
    CHECK_FAILS(corpus_open(&corpus, out, false, &error), STATUS_INPUT);
    CHECK_OK(corpus_open(&corpus, out, true, &error), error);
    ck_assert_int_eq(corpus->shard_count, shards - 1);
    ck_assert_int_eq(corpus->shards_left_out, 1);
    ck_assert(!digest_equal(corpus->fingerprint, whole));
    corpus_close(corpus);
}
END_TEST

START_TEST(test_corpus_check_is_shared_and_misses_no_shard)
{
    char out[PATH_BYTES];
    char path[PATH_BYTES];
    char *content;
    size_t size;
    struct error error;
    fixture_corpus(out, "share", 200);
    struct corpus *corpus;
    CHECK_OK(corpus_open_checked(&corpus, out, &error), error);
    const struct digest trusted = corpus->fingerprint;
    const int64_t shards = corpus->shard_count;
    corpus_close(corpus);
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    ck_assert(digest_equal(corpus->fingerprint, trusted));
    ck_assert_int_ge(shards, 2);
    corpus_close(corpus);
    /* A flipped bit is found by the one process of three whose share it is in. */
    CHECK_OK(path_join(path, out, "corpus-00001.h5", &error), error);
    CHECK_OK(file_read(path, 1 << 24, &content, &size, &error), error);
    content[size / 2] ^= 16;
    CHECK_OK(file_write_durable(path, content, size, &error), error);
    CHECK_OK(corpus_check(out, 0, 3, &error), error);
    CHECK_FAILS(corpus_check(out, 1, 3, &error), STATUS_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.message, "corpus-00001.h5"));
    CHECK_OK(corpus_check(out, 2, 3, &error), error);
    CHECK_FAILS(corpus_check(out, 0, 1, &error), STATUS_FORMAT);
    memory_release(content);
}
END_TEST

START_TEST(test_corpus_open_refuses_a_manifest_cut_at_any_place)
{
    char out[PATH_BYTES];
    char manifest[PATH_BYTES];
    char *content;
    size_t size;
    struct error error;
    struct corpus *corpus;
    fixture_corpus(out, "manifest", 10);
    CHECK_OK(path_join(manifest, out, "corpus.json", &error), error);
    CHECK_OK(file_read(manifest, 1 << 24, &content, &size, &error), error);
    for (size_t cut = 0; cut + 2 < size; cut += 1 + size / 50) {
        CHECK_OK(file_write_durable(manifest, content, cut, &error), error);
        CHECK_FAILS(corpus_open(&corpus, out, false, &error), STATUS_FORMAT);
    }
    CHECK_OK(file_remove(manifest, &error), error);
    CHECK_FAILS(corpus_open(&corpus, out, false, &error), STATUS_INPUT);
    memory_release(content);
}
END_TEST

START_TEST(test_corpus_held_out_share_is_near_what_was_asked_and_counts_repeats)
{
    char text[PATH_BYTES];
    char out[PATH_BYTES];
    char tokenizer[PATH_BYTES];
    (void)fixture_text(text, "twice.txt", 2000);
    const char *const sources[] = {text, text};
    const struct corpus_build_options options = {
        .sources = sources,
        .source_count = 2,
        .tokenizer = fixture_golden(tokenizer, "tokenizers/bpe_roberta"),
        .out = fixture_path(out, "twice"),
    };
    struct corpus_build_result result;
    struct error error;
    CHECK_OK(corpus_build(&options, &result, &error), error);
    struct corpus *corpus;
    CHECK_OK(corpus_open(&corpus, out, false, &error), error);
    struct corpus_summary summary;
    corpus_summarise(corpus, 0.1, &summary);
    ck_assert_int_eq(summary.documents, 4000);
    ck_assert_int_eq(summary.repeated_documents, 2000);
    /* 2000 different documents: mean 200, standard deviation 13.4; six of them, and each counts
     * twice */
    ck_assert_int_le(llabs(summary.held_out_documents - 400), 2 * 81);
    ck_assert_int_eq(summary.held_out_documents % 2, 0);
    corpus_close(corpus);
}
END_TEST

int main(void)
{
    return suite_run(
        "corpus_build",
        (const TTest *[]){test_corpus_build_gives_the_same_files_on_one_and_four_threads,
                          test_corpus_holds_the_ids_of_the_documents_in_order,
                          test_corpus_knows_where_lines_begin,
                          test_corpus_build_leaves_nothing_after_a_failure_and_keeps_what_exists,
                          test_corpus_build_replaces_a_corpus_only_when_whole,
                          test_corpus_open_refuses_a_shard_cut_or_changed_anywhere,
                          test_corpus_open_leaves_out_a_bad_shard_on_request,
                          test_corpus_check_is_shared_and_misses_no_shard,
                          test_corpus_open_refuses_a_manifest_cut_at_any_place,
                          test_corpus_held_out_share_is_near_what_was_asked_and_counts_repeats,
                          NULL});
}
