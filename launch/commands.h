/* Every command of the program, one row each, defined in command_*.c and listed in command_table.c
 * in the order in which --help and the man page show them. */
#ifndef SHARDLM_LAUNCH_COMMANDS_H
#define SHARDLM_LAUNCH_COMMANDS_H

#include "launch/command_line.h"

extern const struct command command_tokenizer_train;
extern const struct command command_tokenizer_encode;
extern const struct command command_tokenizer_decode;
extern const struct command command_corpus_build;
extern const struct command command_corpus_show;
extern const struct command command_corpus_sample;
extern const struct command command_plan;
extern const struct command command_train;
extern const struct command command_resume;
extern const struct command command_top;
extern const struct command command_ctl;
extern const struct command command_provenance;
extern const struct command command_replay;
extern const struct command command_evaluate;
extern const struct command command_fill;
extern const struct command command_generate;
extern const struct command command_embed;
extern const struct command command_score;
extern const struct command command_fingerprint;
extern const struct command command_checkpoint_list;
extern const struct command command_checkpoint_show;
extern const struct command command_checkpoint_verify;
extern const struct command command_export;
extern const struct command command_import;
extern const struct command command_bench_step;
extern const struct command command_bench_tokenizer;
extern const struct command command_help_page; /* "help" */

/* The list, ended by NULL. */
extern const struct command *const command_table[];

#endif
