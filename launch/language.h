/* A pretrained model with what it takes to talk to it: its tokenizer and kernels. For the commands
 * that take texts. */
#ifndef SHARDLM_LAUNCH_LANGUAGE_H
#define SHARDLM_LAUNCH_LANGUAGE_H

#include "data_pipeline/batch.h"
#include "data_pipeline/tokenizer.h"
#include "launch/command_line.h"
#include "launch/pretrained.h"

struct language {
    struct pretrained pretrained;
    struct tokenizer *tokenizer;
    struct tokenizer_work *work;
    struct kernels kernels;
    bool causal;   /* the model predicts what comes next, not what is masked */
    bool permuted; /* XLNet: texts are read in any order; their class token stands last */
};

/* With `encoder_alone` a Hugging Face folder may lack heads. STATUS_INPUT if `path` holds no
 * tokenizer, STATUS_FORMAT if that has more ids than the model. */
MUST_CHECK enum status language_open(struct language *language, const char *path,
                                     bool encoder_alone, struct error *error);
void language_close(struct language *language); /* accepts a zeroed language */

/* The ids of a text between the tokens that begin and (with `ends`) end one, as in pretraining:
 * XLNet has both behind the text; special tokens that stand in it are parsed. Replaces what `ids`
 * holds. STATUS_INPUT if it is no UTF-8 or longer than the model has positions. */
MUST_CHECK enum status language_encode(const struct language *language, const char *text,
                                       size_t size_bytes, bool ends, struct token_list *ids,
                                       struct error *error);

/* Makes `batch` that one text, with nothing predicted: every token sees as its family does. */
void language_batch(const struct language *language, const struct token_list *ids,
                    struct batch *batch);

/* Texts of a command: its arguments behind the checkpoint, or the lines of --file (option "file").
 * `take` gets each with its number from 0. */
struct language_sink {
    enum status (*take)(void *context, int64_t index, const char *text, size_t size_bytes,
                        struct error *error);
    void *context;
};
MUST_CHECK enum status language_texts(const struct command_line *line,
                                      const struct language_sink *sink, struct error *error);

#endif
