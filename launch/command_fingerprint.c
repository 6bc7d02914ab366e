/* fingerprint CHECKPOINT|RUN: recomputed from the state, compared with what the checkpoint says. */
#include <stdio.h>

#include "launch/commands.h"
#include "launch/pretrained.h"

static enum status fingerprint_run(const struct command_line *line, struct error *error)
{
    char path[PATH_BYTES];
    TRY(checkpoint_find(line->arguments[0], path, error));
    struct checkpoint *checkpoint;
    TRY(checkpoint_open(&checkpoint, path, false, error));
    struct digest fingerprint;
    const enum status status = checkpoint_fingerprint(checkpoint, path, &fingerprint, error);
    if (status == STATUS_OK) {
        char text[DIGEST_TEXT_BYTES];
        digest_text(fingerprint, text);
        const long long step = (long long)checkpoint_meta(checkpoint)->step;
        if (command_line_has(line, "json")) {
            (void)printf("{\"fingerprint\": \"%s\", \"step\": %lld}\n", text, step);
        } else {
            (void)printf("%s  step %lld\n", text, step);
        }
    }
    checkpoint_close(checkpoint);
    return status;
}

static const struct command_option fingerprint_options[] = {
    {.name = "json", .help = "print {\"fingerprint\": TEXT, \"step\": N}"},
};

const struct command command_fingerprint = {
    .name = "fingerprint",
    .arguments = "CHECKPOINT|RUN",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "recompute the fingerprint of weights, optimizer state and step",
    .detail =
        "Equal fingerprints mean equal bits, on any number of workers. Of a run, the newest good "
        "checkpoint is taken. Fails if the checkpoint says another one.",
    .options = fingerprint_options,
    .option_count = ARRAY_LENGTH(fingerprint_options),
    .run = fingerprint_run,
};
