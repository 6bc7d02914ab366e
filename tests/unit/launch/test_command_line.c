/* launch/command_line and launch/dispatch: words become options and arguments, or one clear
 * message. */
#include "launch/command_line.h"

#include <string.h>

#include "launch/dispatch.h"
#include "launch/word.h"
#include "tests/support/suite.h"

static enum status run_nothing(const struct command_line *line, struct error *error)
{
    if (command_line_has(line, "json")) {
        FAIL(error, STATUS_TIMEOUT, "ran with %lld arguments", (long long)line->argument_count);
    }
    return STATUS_OK;
}

static const struct command_option options[] = {
    {.name = "out", .argument = "DIR", .help = "folder to write", .required = true},
    {.name = "steps", .argument = "N", .help = "how many"},
    {.name = "set", .argument = "KEY=VALUE", .help = "override", .repeats = true},
    {.name = "json", .help = "for scripts"},
};
static const struct command sample = {.name = "thing make",
                                      .arguments = "FILE [FILE]",
                                      .argument_min = 1,
                                      .argument_max = 2,
                                      .summary = "make a thing",
                                      .detail = "It is made.",
                                      .options = options,
                                      .option_count = ARRAY_LENGTH(options),
                                      .run = run_nothing};
static const struct command other = {.name = "show", .summary = "show it", .run = run_nothing};
static const struct command *const table[] = {&sample, &other, NULL};

/* Words are ended by NULL; argv is never written to, but its type in C is char *const *. */
static enum status open_words(struct command_line *line, char **words, struct error *error)
{
    int64_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    return command_line_open(line, &sample, "shardlm", words, count, error);
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})
static char w_out[] = "--out", w_dir[] = "d", w_a[] = "a", w_b[] = "b", w_c[] = "c", w_end[] = "--",
            w_dashed[] = "--x", w_set[] = "--set", w_one[] = "k=1", w_two[] = "--set=k=2",
            w_json[] = "--json", w_json_value[] = "--json=1", w_steps[] = "--steps",
            w_typo[] = "--step=3", w_short[] = "-o", w_stdin[] = "-", w_help[] = "--help",
            w_minus[] = "-5", w_nine[] = "9", w_program[] = "shardlm", w_thing[] = "thing",
            w_make[] = "make", w_maek[] = "maek", w_shew[] = "shew";

START_TEST(test_command_line_takes_options_anywhere)
{
    struct command_line line;
    struct error error = {0};
    CHECK_OK(open_words(&line, WORDS(w_a, w_out, w_dir, w_set, w_one, w_b, w_two, w_json), &error),
             error);
    ck_assert_int_eq(line.argument_count, 2);
    ck_assert_str_eq(line.arguments[0], "a");
    ck_assert_str_eq(line.arguments[1], "b");
    ck_assert_str_eq(command_line_text(&line, "out"), "d");
    ck_assert_str_eq(command_line_text_at(&line, "set", 0), "k=1");
    ck_assert_str_eq(command_line_text_at(&line, "set", 1), "k=2");
    ck_assert_ptr_null(command_line_text_at(&line, "set", 2));
    ck_assert(command_line_has(&line, "json"));
    ck_assert(!command_line_has(&line, "steps"));
    command_line_close(&line);
}
END_TEST

START_TEST(test_command_line_ends_options_at_two_dashes)
{
    struct command_line line;
    struct error error = {0};
    CHECK_OK(open_words(&line, WORDS(w_out, w_dir, w_end, w_dashed, w_stdin), &error), error);
    ck_assert_str_eq(line.arguments[0], "--x");
    ck_assert_str_eq(line.arguments[1], "-");
    command_line_close(&line);
}
END_TEST

static void check_refused(char **words, const char *message)
{
    struct command_line line;
    struct error error = {0};
    CHECK_FAILS(open_words(&line, words, &error), STATUS_INPUT);
    ck_assert_str_eq(error.message, message);
    command_line_close(&line);
}

START_TEST(test_command_line_refuses_what_the_table_does_not_know)
{
    check_refused(WORDS(w_a, w_typo),
                  "thing make: unknown option \"--step\", nearest known option is "
                  "\"--steps\"");
    check_refused(WORDS(w_a, w_short),
                  "thing make: unknown option \"-o\": options are long, as in --help");
    check_refused(WORDS(w_a), "thing make: option \"--out DIR\" is missing");
    check_refused(WORDS(w_a, w_out), "thing make: option \"--out\" needs a value: --out DIR");
    check_refused(WORDS(w_a, w_out, w_dir, w_out, w_dir),
                  "thing make: option \"--out\" was given twice");
    check_refused(WORDS(w_a, w_json_value), "thing make: option \"--json\" takes no value");
    check_refused(WORDS(w_out, w_dir),
                  "thing make: an argument is missing; usage: shardlm thing make FILE [FILE]");
    check_refused(WORDS(w_a, w_b, w_c, w_out, w_dir),
                  "thing make: unexpected argument \"c\"; usage: shardlm thing make FILE [FILE]");
}
END_TEST

START_TEST(test_command_line_integer_keeps_to_its_range)
{
    struct command_line line;
    struct error error = {0};
    int64_t value = 0;
    CHECK_OK(open_words(&line, WORDS(w_a, w_out, w_dir, w_steps, w_nine), &error), error);
    CHECK_OK(command_line_integer(&line, "steps", 1, 9, 5, &value, &error), error);
    ck_assert_int_eq(value, 9);
    CHECK_FAILS(command_line_integer(&line, "steps", 1, 8, 5, &value, &error), STATUS_INPUT);
    ck_assert_str_eq(error.message,
                     "thing make: option \"--steps 9\": expected an integer from 1 to 8");
    command_line_close(&line);
    CHECK_OK(open_words(&line, WORDS(w_a, w_out, w_dir), &error), error);
    CHECK_OK(command_line_integer(&line, "steps", 1, 9, 5, &value, &error), error);
    ck_assert_int_eq(value, 5);
    command_line_close(&line);
    CHECK_OK(open_words(&line, WORDS(w_a, w_out, w_dir, w_steps, w_minus), &error), error);
    CHECK_FAILS(command_line_integer(&line, "steps", 1, 8, 5, &value, &error), STATUS_INPUT);
    command_line_close(&line);
}
END_TEST

START_TEST(test_command_line_help_wins_over_what_is_missing)
{
    struct command_line line;
    struct error error = {0};
    CHECK_OK(open_words(&line, WORDS(w_a, w_help), &error), error);
    ck_assert(line.help);
    command_line_close(&line);
}
END_TEST

START_TEST(test_command_help_shows_every_option)
{
    struct text page = {0};
    command_help(&sample, &page);
    ck_assert_ptr_nonnull(strstr(page.data,
                                 "usage: shardlm thing make FILE [FILE] --out DIR [--steps N] "
                                 "[--set KEY=VALUE]… [--json]\n"));
    ck_assert_ptr_nonnull(strstr(page.data, "\nIt is made.\n"));
    for (int64_t i = 0; i < ARRAY_LENGTH(options); i++) {
        ck_assert_ptr_nonnull(strstr(page.data, options[i].help));
    }
    text_deinit(&page);
}
END_TEST

START_TEST(test_dispatch_runs_the_command_that_is_named)
{
    struct error error = {0};
    CHECK_FAILS(
        dispatch(table, 7, WORDS(w_program, w_thing, w_make, w_a, w_out, w_dir, w_json), &error),
        STATUS_TIMEOUT);
    ck_assert_str_eq(error.message, "ran with 1 arguments");
}
END_TEST

START_TEST(test_dispatch_names_the_nearest_command)
{
    struct error error = {0};
    CHECK_FAILS(dispatch(table, 3, WORDS(w_program, w_thing, w_maek), &error), STATUS_INPUT);
    ck_assert_str_eq(error.message,
                     "unknown command \"thing maek\", nearest known command is \"thing make\"");
    CHECK_FAILS(dispatch(table, 2, WORDS(w_program, w_shew), &error), STATUS_INPUT);
    ck_assert_str_eq(error.message, "unknown command \"shew\", nearest known command is \"show\"");
    CHECK_FAILS(dispatch(table, 2, WORDS(w_program, w_thing), &error), STATUS_INPUT);
    ck_assert_str_eq(error.message, "\"thing\" is a group of commands: see shardlm thing --help");
    CHECK_FAILS(dispatch(table, 1, WORDS(w_program), &error), STATUS_INPUT);
}
END_TEST

START_TEST(test_word_distance_counts_edits)
{
    ck_assert_int_eq(word_distance("", ""), 0);
    ck_assert_int_eq(word_distance("abc", ""), 3);
    ck_assert_int_eq(word_distance("hiden", "hidden"), 1);
    ck_assert_int_eq(word_distance("linaer", "linear"), 1);
    ck_assert_int_eq(word_distance("kitten", "sitting"), 3);
}
END_TEST

int main(void)
{
    return suite_run(
        "command_line",
        (const TTest *[]){
            test_command_line_takes_options_anywhere, test_command_line_ends_options_at_two_dashes,
            test_command_line_refuses_what_the_table_does_not_know,
            test_command_line_integer_keeps_to_its_range,
            test_command_line_help_wins_over_what_is_missing, test_command_help_shows_every_option,
            test_dispatch_runs_the_command_that_is_named, test_dispatch_names_the_nearest_command,
            test_word_distance_counts_edits, NULL});
}
