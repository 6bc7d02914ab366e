/* launch/top_view: what top shows of an answer and a journal. */
#include "launch/top_view.h"

#include <string.h>

#include "tests/support/suite.h"

static void line_take(struct top_view *view, const char *line)
{
    struct error error;
    json_t *value;
    CHECK_OK(json_read_text("line", line, strlen(line), &value, &error), error);
    top_view_take(view, value);
    json_decref(value);
}

START_TEST(test_top_view_spark_goes_from_least_to_largest)
{
    struct text text = {0};
    const double values[] = {7, 6, 5, 4, 3, 2, 1, 0};
    top_view_spark(values, 8, 60, false, &text);
    ck_assert_str_eq(text.data, "#^=~-,._");
    text_deinit(&text);
    top_view_spark(values, 8, 2, false, &text); /* means of four: 5.5 and 1.5 */
    ck_assert_uint_eq(text.size_bytes, 2);
    text_deinit(&text);
}
END_TEST

START_TEST(test_top_view_steps_done_again_replace_those_before)
{
    struct top_view view = {.run = "run"};
    line_take(&view, "{\"event\":\"start\",\"step\":0}");
    line_take(&view, "{\"step\":1,\"loss\":5.0}");
    line_take(&view, "{\"step\":2,\"loss\":4.0}");
    line_take(&view, "{\"step\":3,\"loss\":3.0}");
    line_take(&view, "{\"event\":\"resume\",\"step\":1}");
    line_take(&view, "{\"step\":2,\"loss\":4.5}");
    ck_assert_int_eq(view.loss_count, 2);
    ck_assert_double_eq(view.losses[1], 4.5);
    ck_assert_str_eq(view.event, "resume at step 1");
}
END_TEST

START_TEST(test_top_view_names_progress_and_workers)
{
    static const char answer_text[] =
        "{\"state\":\"paused\",\"step\":5,\"last_step\":20,\"published_step\":4,"
        "\"writing_step\":-1,\"tokens_per_second\":1000.0,\"step_seconds\":2.0,"
        "\"seconds_left\":30.0,\"workers\":[{\"host\":\"node-a\",\"phase\":\"compute\",\"step\":6,"
        "\"slot\":3,\"slots\":2,\"slot_seconds\":0.25,\"wait_share\":0.5,"
        "\"silent_seconds\":9.0}]}";
    struct error error;
    json_t *answer;
    CHECK_OK(json_read_text("answer", answer_text, strlen(answer_text), &answer, &error), error);
    struct top_view view = {.run = "run"};
    line_take(&view, "{\"step\":5,\"loss\":6.25}");
    struct text text = {0};
    top_view_text(&view, answer, &text);
    static const char *const expected[] = {
        "run: paused", "25 %",         "step 5/20", "30 s left", "loss 6.2500",
        "node-a",      "checkpoint 4", "compute",   "50 %",      "silent for 9 s"};
    for (int64_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        ck_assert_msg(strstr(text.data, expected[i]) != NULL, "no \"%s\" in:\n%s", expected[i],
                      text.data);
    }
    text_deinit(&text);
    json_decref(answer);
}
END_TEST

START_TEST(test_top_view_says_that_no_job_works)
{
    struct top_view view = {.run = "run"};
    line_take(&view, "{\"step\":5,\"loss\":6.25}");
    struct text text = {0};
    top_view_text(&view, NULL, &text);
    ck_assert_ptr_nonnull(strstr(text.data, "run: no job works on it\nstep 5\n"));
    text_deinit(&text);
}
END_TEST

int main(void)
{
    return suite_run("top_view",
                     (const TTest *[]){test_top_view_spark_goes_from_least_to_largest,
                                       test_top_view_steps_done_again_replace_those_before,
                                       test_top_view_names_progress_and_workers,
                                       test_top_view_says_that_no_job_works, NULL});
}
