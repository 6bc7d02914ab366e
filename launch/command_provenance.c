/* provenance RUN --step K: the documents that a step was made of. */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "data_pipeline/provenance.h"
#include "launch/commands.h"
#include "launch/print.h"
#include "launch/run_folder.h"

static void parts_print(const struct provenance_part *parts, int64_t count, int64_t slot)
{
    for (int64_t i = 0; i < count; i++) {
        const struct provenance_part *const part = &parts[i];
        (void)printf("%4" PRId64 "  %9" PRId64 "  %8" PRId64 "  %6" PRId64 "  ", slot,
                     part->document, part->offset, part->count);
        if (part->source_document < 0) {
            (void)printf("unknown file\n");
        } else {
            (void)printf("%s  %" PRId64 "\n", part->source, part->source_document);
        }
    }
}

static json_t *part_json(const struct provenance_part *part, int64_t slot)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I}", "slot", (json_int_t)slot, "row",
                     (json_int_t)part->row, "epoch", (json_int_t)part->epoch, "document",
                     (json_int_t)part->document, "offset", (json_int_t)part->offset, "tokens",
                     (json_int_t)part->count, "source", part->source, "source_document",
                     (json_int_t)part->source_document);
}

/* Slots [first, end) of a step. */
static enum status step_print(const struct provenance *provenance, int64_t step, int64_t first,
                              int64_t end, bool json, struct error *error)
{
    json_t *const list = json_array();
    enum status status = STATUS_OK;
    if (!json) {
        (void)printf("slot   document    offset  tokens  file, its document\n");
    }
    for (int64_t slot = first; slot < end && status == STATUS_OK; slot++) {
        struct provenance_part *parts = NULL;
        int64_t count = 0;
        status = provenance_slot(provenance, step, slot, &parts, &count, error);
        for (int64_t i = 0; i < count && json; i++) {
            INVARIANT(json_array_append_new(list, part_json(&parts[i], slot)) == 0);
        }
        if (!json) {
            parts_print(parts, count, slot);
        }
        memory_release(parts);
    }
    if (json && status == STATUS_OK) {
        print_json(list);
    }
    json_decref(list);
    return status;
}

static enum status provenance_run(const struct command_line *line, struct error *error)
{
    struct config *const config = memory_take(1, sizeof *config, "configuration");
    struct data_source *source = NULL;
    struct provenance *provenance = NULL;
    int64_t step = 0;
    int64_t slot = -1;
    struct data_skips skips;
    enum status status = run_folder_config(line->arguments[0], NULL, 0, config, error);
    if (status == STATUS_OK) {
        status = command_line_integer(line, "step", 1, INT64_MAX / 2, 1, &step, error);
    }
    if (status == STATUS_OK) {
        status = data_source_open(&source, &config->data, &config->step, config->seed,
                                  config->model.vocabulary, error);
    }
    if (status == STATUS_OK) {
        status = data_skips_read(&skips, line->arguments[0], error);
    }
    if (status == STATUS_OK) {
        data_source_skip(source, &skips);
        status =
            command_line_integer(line, "slot", 0, data_source_slots(source) - 1, -1, &slot, error);
    }
    if (status == STATUS_OK) {
        status = provenance_open(&provenance, source, error);
    }
    if (status == STATUS_OK) {
        const int64_t end = slot < 0 ? data_source_slots(source) : slot + 1;
        status = step_print(provenance, step, slot < 0 ? 0 : slot, end,
                            command_line_has(line, "json"), error);
    }
    provenance_close(provenance);
    data_source_close(source);
    memory_release(config);
    return status;
}

static const struct command_option provenance_options[] = {
    {.name = "step", .argument = "K", .help = "which step, from 1", .required = true},
    {.name = "slot", .argument = "S", .help = "this slot only, from 0"},
    {.name = "json", .help = "print one JSON array of objects"},
};

const struct command command_provenance = {
    .name = "provenance",
    .arguments = "RUN",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "list the documents that a step was made of",
    .detail = "For each stretch of text: slot, number of the document in the corpus, first token "
              "and tokens of it, source file and the document's number in that file, both from 0. "
              "Found by arithmetic, for steps done or to come; needs the corpus, which is checked "
              "first.",
    .options = provenance_options,
    .option_count = ARRAY_LENGTH(provenance_options),
    .run = provenance_run,
};
