/* The list of commands; see commands.h. */
#include "launch/commands.h"

#include <stddef.h>

const struct command *const command_table[] = {
    &command_tokenizer_train,
    &command_tokenizer_encode,
    &command_tokenizer_decode,
    &command_corpus_build,
    &command_corpus_show,
    &command_corpus_sample,
    &command_plan,
    &command_train,
    &command_resume,
    &command_top,
    &command_ctl,
    &command_provenance,
    &command_replay,
    &command_evaluate,
    &command_fill,
    &command_generate,
    &command_embed,
    &command_score,
    &command_fingerprint,
    &command_checkpoint_list,
    &command_checkpoint_show,
    &command_checkpoint_verify,
    &command_export,
    &command_import,
    &command_bench_step,
    &command_bench_tokenizer,
    &command_help_page,
    NULL,
};
