/* Each rule of tests/tidy finds what it is there for, and nothing in comments, strings and members.
 */
#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/tidy/rules.h"

struct seen {
    int count;
    int line;           /* of the last finding */
    char message[1024]; /* of the last finding */
};

static void seen_report(struct findings *findings, const char *path, int line, const char *message)
{
    (void)path;
    struct seen *const seen = findings->context;
    seen->count++;
    seen->line = line;
    (void)snprintf(seen->message, sizeof seen->message, "%s", message);
}

static struct seen check(const char *path, const char *text)
{
    struct seen seen = {0};
    struct findings findings = {.report = seen_report, .context = &seen};
    struct source_text source;
    source_text_init(&source, path, text);
    rules_check_source(&source, &findings);
    source_text_deinit(&source);
    return seen;
}

/* `text` follows a file comment of one line, so its first line is line 2. */
static void expect_finding(const char *path, const char *text, int line, const char *part)
{
    char whole[4096];
    (void)snprintf(whole, sizeof whole, "/* A file. */\n%s", text);
    const struct seen seen = check(path, whole);
    ck_assert_msg(seen.count == 1, "%d findings instead of one in: %s", seen.count, text);
    ck_assert_msg(strstr(seen.message, part) != NULL, "\"%s\" does not say \"%s\"", seen.message,
                  part);
    ck_assert_int_eq(seen.line, line);
}

static void expect_nothing(const char *path, const char *text)
{
    char whole[4096];
    (void)snprintf(whole, sizeof whole, "/* A file. */\n%s", text);
    const struct seen seen = check(path, whole);
    ck_assert_msg(seen.count == 0, "%s: %s", seen.message, text);
}

START_TEST(test_tidy_refuses_an_include_that_points_right)
{
    expect_finding("base/a.c", "#include \"kernels/kernels.h\"\n", 2, "base/ may not include");
    expect_finding("kernels/cpu/a.c", "\n#include \"model/model.h\"\n", 3,
                   "kernels/ may not include");
    expect_finding("shard/a.c", "#include \"worker/worker.h\"\n", 2, "shard/ may not include");
    expect_nothing("worker/a.c", "#include \"shard/fabric.h\"\n");
    expect_nothing("launch/a.c", "#include \"tasks/probe.h\"\n");
}
END_TEST

START_TEST(test_tidy_lets_a_folder_see_only_the_named_headers_of_another)
{
    expect_nothing("model/a.c", "#include \"data_pipeline/batch.h\"\n");
    expect_finding("model/a.c", "#include \"data_pipeline/tokenizer.h\"\n", 2,
                   "model/ may not include");
    expect_nothing("shard/a.c", "#include \"model/parameters.h\"\n");
    expect_finding("shard/a.c", "#include \"model/model.h\"\n", 2, "shard/ may not include");
    expect_finding("data_pipeline/a.c", "#include \"kernels/kernels.h\"\n", 2,
                   "data_pipeline/ may not include");
}
END_TEST

START_TEST(test_tidy_wants_includes_by_path)
{
    expect_finding("base/a.c", "#include \"error.h\"\n", 2, "by its path");
}
END_TEST

START_TEST(test_tidy_keeps_a_foreign_library_in_its_file)
{
    expect_nothing("shard/fabric_mpi.c", "#include <mpi.h>\n");
    expect_finding("shard/partition.c", "#include <mpi.h>\n", 2, "belongs to");
    expect_finding("worker/a.c", "#  include <zmq.h>\n", 2, "belongs to");
    expect_finding("base/file.c", "#include <hdf5.h>\n", 2, "belongs to");
    expect_finding("model/a.c", "#include <check.h>\n", 2, "belongs to");
    expect_nothing("tests/parallel/a.c", "#include <mpi.h>\n");
    expect_nothing("base/a.c", "/* #include <mpi.h> */\n#include <string.h>\n");
}
END_TEST

START_TEST(test_tidy_asks_about_a_library_it_does_not_know)
{
    expect_finding("base/a.c", "#include <curl/curl.h>\n", 2, "no known header");
}
END_TEST

START_TEST(test_tidy_names_the_replacement_of_a_banned_call)
{
    expect_finding("model/a.c", "void f(void) { g(malloc(3)); }\n", 2, "take base/memory.h");
    expect_finding("model/a.c", "\n\nvoid f(void) { free (p); }\n", 4, "take memory_release");
    expect_finding("launch/a.c", "void f(void) { strcpy(a, b); }\n", 2, "take snprintf");
    expect_finding("launch/a.c", "int n = atoi(text);\n", 2, "take strtoll");
    expect_finding("worker/a.c", "void f(void) { printf(\"x\"); }\n", 2, "take log_line");
    expect_finding("worker/a.c", "void f(void) { exit(1); }\n", 2, "take a returned status");
    expect_finding("tests/a.c", "int n = rand();\n", 2, "take base/random.h");
}
END_TEST

START_TEST(test_tidy_allows_a_call_where_it_belongs)
{
    expect_nothing("base/memory.c", "void *f(void) { return malloc(3); }\n");
    expect_nothing("launch/a.c", "void f(void) { printf(\"x\"); }\n");
    expect_nothing("base/log.c", "void f(void) { fprintf(stderr, \"x\"); }\n");
}
END_TEST

START_TEST(test_tidy_overlooks_comments_strings_and_members)
{
    expect_nothing("model/a.c",
                   "/* malloc(3) \" */\n// free(p)\nconst char *s = \"exit(1) \\\" puts(x)\";\n");
    expect_nothing("model/a.c", "char q = '\"'; /* free(p) */ char r = '\\''; /* free(p) */\n");
    expect_nothing(
        "model/a.c",
        "void f(struct t *t) { t->free(t); t->table.exit(1); memory_free(t); free_all(t); }\n");
    expect_finding("model/a.c", "char q = '\"'; void f(void) { free(p); } char r = '\"';\n", 2,
                   "free");
}
END_TEST

START_TEST(test_tidy_wants_a_file_comment)
{
    const struct seen seen = check("base/a.c", "#include <string.h>\n");
    ck_assert_int_eq(seen.count, 1);
    ck_assert_ptr_nonnull(strstr(seen.message, "no file comment"));
}
END_TEST

START_TEST(test_tidy_wants_an_include_guard_named_as_the_path)
{
    expect_nothing("base/a.h", "#ifndef SHARDLM_BASE_A_H\n#define SHARDLM_BASE_A_H\n#endif\n");
    expect_finding("base/a.h", "#ifndef A_H\n#define A_H\n#endif\n", 1, "SHARDLM_BASE_A_H");
    expect_finding("kernels/cpu/a.h", "#pragma once\n", 1, "SHARDLM_KERNELS_CPU_A_H");
}
END_TEST

START_TEST(test_tidy_measures_lines)
{
    char line[256];
    memset(line, 'x', sizeof line);
    memcpy(line + 100, "\n", 2);
    expect_nothing("base/a.c", line);
    line[100] = 'x';
    memcpy(line + 101, "\n", 2);
    expect_finding("base/a.c", line, 2, "line of 101 columns");
    memcpy(line + 90, " /* and its comment */\n", 24);
    expect_nothing("base/a.c", line);
    expect_finding("base/a.c", "\tint a;\n", 2, "a tab");
    expect_finding("base/a.c", "int a; \n", 2, "white space");
    expect_finding("base/a.c", "int a;", 2, "no line end");
}
END_TEST

START_TEST(test_tidy_counts_the_lines_of_a_file)
{
    char lines[501];
    memset(lines, '\n', sizeof lines - 1);
    lines[500] = '\0';
    expect_finding("base/a.c", lines, 501, "501 lines");
    expect_nothing("base/a.c", lines + 1);
    expect_nothing("tests/unit/test_a.c", lines);
}
END_TEST

START_TEST(test_tidy_sends_open_work_to_the_tracker)
{
    expect_finding("base/a.c",
                   "/* TO"
                   "DO: more */\n",
                   2, "issue tracker");
    expect_finding("base/a.c",
                   "/* FIX"
                   "ME */\n",
                   2, "issue tracker");
    expect_nothing("base/a.c", "int TO"
                               "DOS;\n");
}
END_TEST

START_TEST(test_tidy_refuses_options_that_change_results)
{
    struct seen seen = {0};
    struct findings findings = {.report = seen_report, .context = &seen};
    struct source_text source;
    source_text_init(&source, "base/CMakeLists.txt",
                     "add_library(a)\ntarget_compile_options(a -ffast-"
                     "math)\n");
    rules_check_build_file(&source, &findings);
    source_text_deinit(&source);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_int_eq(seen.line, 2);
    expect_finding("base/a.c",
                   "__attribute__((optimize(\"-ffast-"
                   "math\"))) int f(void);\n",
                   2, "changes results");
}
END_TEST

START_TEST(test_tidy_wants_unique_names_outside_tests)
{
    ck_assert(rules_name_counts("base/file.c"));
    ck_assert(!rules_name_counts("base/CMakeLists.txt"));
    ck_assert(!rules_name_counts("tests/unit/base/test_file.c"));
}
END_TEST

int main(void)
{
    return suite_run("tidy", (const TTest *[]){
                                 test_tidy_refuses_an_include_that_points_right,
                                 test_tidy_lets_a_folder_see_only_the_named_headers_of_another,
                                 test_tidy_wants_includes_by_path,
                                 test_tidy_keeps_a_foreign_library_in_its_file,
                                 test_tidy_asks_about_a_library_it_does_not_know,
                                 test_tidy_names_the_replacement_of_a_banned_call,
                                 test_tidy_allows_a_call_where_it_belongs,
                                 test_tidy_overlooks_comments_strings_and_members,
                                 test_tidy_wants_a_file_comment,
                                 test_tidy_wants_an_include_guard_named_as_the_path,
                                 test_tidy_measures_lines,
                                 test_tidy_counts_the_lines_of_a_file,
                                 test_tidy_sends_open_work_to_the_tracker,
                                 test_tidy_refuses_options_that_change_results,
                                 test_tidy_wants_unique_names_outside_tests,
                                 NULL,
                             });
}
