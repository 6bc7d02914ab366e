/* top RUN: watches the job that works on a run; reads only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "launch/commands.h"
#include "launch/control_file.h"
#include "launch/print.h"
#include "launch/run_journal.h"
#include "launch/top_view.h"

enum { JOURNAL_TAIL_BYTES = 256 << 10, INTERVAL_MAX = 86400 };

struct top {
    const char *run;
    bool json, once, terminal;
    double interval_seconds;
    struct control_link link;
};

/* Unicode blocks where the locale says that the terminal has them. */
static bool blocks_shown(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int64_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const char *const value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL;
        }
    }
    return false;
}

/* On a terminal each picture is drawn over the one before. */
static void picture_print(const struct top *top, struct text *page)
{
    if (!top->terminal) {
        print_text(page);
        return;
    }
    (void)printf("\033[H");
    for (const char *line = page->data; *line != '\0';) {
        const char *const feed = strchr(line, '\n');
        (void)printf("%.*s\033[K\n", (int)(feed - line), line);
        line = feed + 1;
    }
    (void)printf("\033[J");
    text_deinit(page);
}

static enum status picture_show(const struct top *top, const json_t *answer, struct error *error)
{
    struct top_view view = {.run = top->run, .blocks = top->terminal && blocks_shown()};
    char path[PATH_BYTES];
    TRY(path_join(path, top->run, "journal.jsonl", error));
    if (file_exists(path)) {
        TRY(run_journal_read(top->run, JOURNAL_TAIL_BYTES, top_view_take, &view, error));
    }
    if (top->json) {
        json_t *const object = top_view_json(&view, answer);
        print_json(object);
        json_decref(object);
    } else {
        struct text page = {0};
        top_view_text(&view, answer, &page);
        picture_print(top, &page);
    }
    (void)fflush(stdout);
    return STATUS_OK;
}

/* Until the job has ended: then the last picture says so. */
static enum status pictures_show(struct top *top, struct error *error)
{
    for (;;) {
        json_t *answer = NULL;
        struct error gone;
        const bool runs =
            top->link.client != NULL &&
            control_link_ask(&top->link, MESSAGE_KIND_STATUS, 0, &answer, &gone) == STATUS_OK;
        const enum status status = picture_show(top, answer, error);
        json_decref(answer);
        if (status != STATUS_OK || !runs || top->once) {
            return status;
        }
        clock_sleep(top->interval_seconds);
    }
}

static enum status top_run(const struct command_line *line, struct error *error)
{
    struct top top = {
        .run = line->arguments[0],
        .json = command_line_has(line, "json"),
        .once = command_line_has(line, "once"),
    };
    top.terminal = !top.json && !top.once && isatty(STDOUT_FILENO) == 1;
    TRY(command_line_real(line, "interval", 0.1, INTERVAL_MAX, top.terminal ? 1 : 10,
                          &top.interval_seconds, error));
    char config[PATH_BYTES];
    TRY(path_join(config, top.run, "config.yaml", error));
    if (!file_exists(config)) {
        FAIL(error, STATUS_INPUT, "\"%s\" is not a run folder: it has no config.yaml", top.run);
    }
    struct error none;
    if (control_link_open(&top.link, top.run, &none) != STATUS_OK) {
        control_link_close(&top.link); /* no job: the journal still tells how it ended */
    }
    if (top.terminal) {
        (void)printf("\033[2J");
    }
    const enum status status = pictures_show(&top, error);
    control_link_close(&top.link);
    return status;
}

static const struct command_option top_options[] = {
    {.name = "once", .help = "show one picture and leave"},
    {.name = "json",
     .help = "print an object a line instead: the job's answer and the last losses"},
    {.name = "interval",
     .argument = "SECONDS",
     .help = "time between pictures; 1 on a terminal, else 10"},
};

const struct command command_top = {
    .name = "top",
    .arguments = "RUN",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "watch a run: progress, loss curve, what each worker does",
    .detail = "Asks the job once a picture and reads the journal; the training does not notice. "
              "Ends when the job ends. Without a terminal the same text is printed picture by "
              "picture.",
    .options = top_options,
    .option_count = ARRAY_LENGTH(top_options),
    .run = top_run,
};
