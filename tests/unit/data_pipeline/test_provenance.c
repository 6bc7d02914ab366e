/* data_pipeline/provenance: an epoch's slots name every token of the training documents once, and
 * the file that each came from. */
#include "data_pipeline/provenance.h"

#include "data_pipeline/corpus_index.h"
#include "tests/unit/data_pipeline/corpus_fixture.h"

enum { T = 32, FIRST_FILE = 40, SECOND_FILE = 60, ROWS = 4 };

static void corpus_of_two_files(char out[PATH_BYTES], const char *name)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    struct error error;
    struct corpus_build_result result;
    CHECK_OK(folder_make(fixture_path(folder, "texts"), &error), error);
    (void)fixture_text(path, "texts/first.txt", FIRST_FILE);
    (void)fixture_text(path, "texts/second.txt", SECOND_FILE);
    CHECK_OK(fixture_build(out, name, folder, 2, 1000, &result, &error), error);
}

static struct data_source *source_open(const char *corpus)
{
    struct data_options options = {.objective = DATA_OBJECTIVE_DYNAMIC_MASK,
                                   .mask_fraction = 0.15,
                                   .mask_share = 0.8,
                                   .random_share = 0.1,
                                   .sequence_tokens = T,
                                   .held_out = 0.1};
    (void)snprintf(options.corpus, sizeof options.corpus, "%s", corpus);
    const struct step_options step = {.tokens = ROWS * T, .slot_tokens = ROWS * T};
    struct data_source *source;
    struct error error;
    CHECK_OK(data_source_open(&source, &options, &step, 3, 0, &error), error);
    return source;
}

static void check_name(const struct provenance_part *part)
{
    const bool first = part->document < FIRST_FILE;
    ck_assert_str_eq(path_name(part->source), first ? "first.txt" : "second.txt");
    ck_assert_int_eq(part->source_document, part->document - (first ? 0 : FIRST_FILE));
}

START_TEST(test_provenance_names_every_token_of_an_epoch_once)
{
    char path[PATH_BYTES];
    struct error error;
    corpus_of_two_files(path, "all");
    struct data_source *const source = source_open(path);
    struct provenance *provenance;
    CHECK_OK(provenance_open(&provenance, source, &error), error);
    const struct corpus *const corpus = data_source_index(source)->corpus;
    int64_t *const seen = memory_take((size_t)corpus->document_count, sizeof *seen, "counts");
    const int64_t steps = (data_source_index(source)->row_count + ROWS - 1) / ROWS;
    for (int64_t step = 1; step <= steps; step++) {
        struct provenance_part *parts;
        int64_t count;
        CHECK_OK(provenance_slot(provenance, step, 0, &parts, &count, &error), error);
        for (int64_t i = 0; i < count; i++) {
            seen[parts[i].document] += parts[i].epoch == 0 ? parts[i].count : 0;
            check_name(&parts[i]);
        }
        memory_release(parts);
    }
    int64_t trained = 0;
    for (int64_t i = 0; i < corpus->document_count; i++) {
        const bool held_out = corpus_is_held_out(corpus_document_hash(corpus, i), 0.1);
        ck_assert_int_eq(seen[i], held_out ? 0 : corpus_document_tokens(corpus, i));
        trained += held_out ? 0 : 1;
    }
    ck_assert_int_gt(trained, (FIRST_FILE + SECOND_FILE) / 2);
    memory_release(seen);
    provenance_close(provenance);
    data_source_close(source);
}
END_TEST

START_TEST(test_provenance_text_names_file_and_document)
{
    char path[PATH_BYTES];
    char text[512];
    corpus_of_two_files(path, "named");
    struct data_source *const source = source_open(path);
    provenance_text(source, 1, 0, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "document "));
    ck_assert_ptr_nonnull(strstr(text, ".txt, its "));
    data_source_close(source);
}
END_TEST

int main(void)
{
    return suite_run("provenance",
                     (const TTest *[]){test_provenance_names_every_token_of_an_epoch_once,
                                       test_provenance_text_names_file_and_document, NULL});
}
