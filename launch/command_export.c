/* export CHECKPOINT --out DIR: a folder that Hugging Face's transformers loads. */
#include <stdio.h>

#include "checkpoints/hf_folder.h"
#include "launch/commands.h"
#include "launch/pretrained.h"

static enum status export_run(const struct command_line *line, struct error *error)
{
    const char *const out = command_line_text(line, "out");
    struct pretrained pretrained;
    TRY(pretrained_open(&pretrained, line->arguments[0], error));
    const enum status status =
        hf_folder_write(out, &pretrained.config.model, &pretrained.table, pretrained.weights,
                        pretrained.tokenizer[0] == '\0' ? NULL : pretrained.tokenizer, error);
    if (status == STATUS_OK) {
        (void)printf("wrote %s: %lld parameters from %s\n", out,
                     (long long)pretrained.table.parameter_count, pretrained.path);
    }
    pretrained_close(&pretrained);
    return status;
}

static const struct command_option export_options[] = {
    {.name = "out",
     .argument = "DIR",
     .help = "folder to write; must not exist or be empty",
     .required = true},
};

const struct command command_export = {
    .name = "export",
    .arguments = "CHECKPOINT",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "write a checkpoint as a Hugging Face folder",
    .detail = "Writes config.json, model.safetensors and the tokenizer's files. CHECKPOINT may be "
              "a run (its "
              "newest good checkpoint is taken) or another Hugging Face folder.",
    .options = export_options,
    .option_count = ARRAY_LENGTH(export_options),
    .run = export_run,
};
