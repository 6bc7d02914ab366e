/* What the readers of the kinds of tokenizers share; everybody else uses tokenizer_files.h. */
#ifndef SHARDLM_DATA_PIPELINE_TOKENIZER_READING_H
#define SHARDLM_DATA_PIPELINE_TOKENIZER_READING_H

#include "data_pipeline/tokenizer_parts.h"

/* Optional boolean `key`; anything but a boolean or null is refused. */
MUST_CHECK enum status tokenizer_read_flag(const json_t *object, const char *key, bool otherwise,
                                           const char *where, bool *flag, struct error *error);
/* Settings of BERT's normaliser under the keys of tokenizer.json or tokenizer_config.json. If the
 * file does not say what accents do, they go with the capitals. */
MUST_CHECK enum status tokenizer_read_bert(struct bert_normalizer *normalizer, const json_t *object,
                                           const char *lowercase, const char *chinese,
                                           const char *where, struct error *error);
/* The member "added_tokens", or NULL. */
MUST_CHECK enum status tokenizer_read_added_list(const json_t *root, const char *where,
                                                 const json_t **added, struct error *error);
/* Names all tokens: those of `vocabulary` (an object of names and ids) and the added ones that it
 * lacks. */
MUST_CHECK enum status tokenizer_read_names(struct tokenizer *tokenizer, json_t *vocabulary,
                                            const json_t *added, const char *where,
                                            struct error *error);
/* Makes added tokens of the named ones. */
MUST_CHECK enum status tokenizer_read_added(struct tokenizer *tokenizer, const json_t *added,
                                            const char *where, struct error *error);
/* Adds those of `names` (up to NULL) that are in the vocabulary as special tokens; masks take the
 * white space before them. */
void tokenizer_add_known(struct tokenizer *tokenizer, const char *const *names);

/* From a whole tokenizer.json whose model is of the kind; not sealed. */
MUST_CHECK enum status tokenizer_read_wordpiece(struct tokenizer *tokenizer, const json_t *root,
                                                const json_t *model, const char *where,
                                                struct error *error);
MUST_CHECK enum status tokenizer_read_bpe(struct tokenizer *tokenizer, const json_t *root,
                                          const json_t *model, const char *where,
                                          struct error *error);
MUST_CHECK enum status tokenizer_read_metaspace(struct tokenizer *tokenizer, const json_t *root,
                                                const json_t *model, const char *where,
                                                struct error *error);
/* From vocab.txt: a token a line, by id. Settings are those of tokenizer_config.json beside it
 * (do_lower_case, strip_accents, tokenize_chinese_chars), else BERT's own, uncased. Not sealed. */
MUST_CHECK enum status tokenizer_read_vocabulary_lines(struct tokenizer *tokenizer,
                                                       const char *path, struct error *error);
/* From vocab.json and merges.txt. Not sealed. */
MUST_CHECK enum status tokenizer_read_bpe_pair(struct tokenizer *tokenizer,
                                               const char *vocabulary_path, const char *merges_path,
                                               struct error *error);
/* From a SentencePiece model file. Not sealed. */
MUST_CHECK enum status tokenizer_read_unigram(struct tokenizer *tokenizer, const char *path,
                                              struct error *error);

#endif
