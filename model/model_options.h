/* What defines a network: options only, filled by launch/config.c or from a Hugging Face
 * config.json. */
#ifndef SHARDLM_MODEL_MODEL_OPTIONS_H
#define SHARDLM_MODEL_MODEL_OPTIONS_H

#include <stdint.h>

enum model_family {
    MODEL_FAMILY_ROBERTA,
};

enum model_activation {
    MODEL_ACTIVATION_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    MODEL_ACTIVATION_GELU_TANH, /* "gelu_new" */
    MODEL_ACTIVATION_RELU,
};

enum model_norm {
    MODEL_NORM_POST, /* the published RoBERTa: LayerNorm after each residual sum */
    MODEL_NORM_PRE,  /* LayerNorm before attention and feed-forward, one more at the end (Hugging
                        Face's  roberta-prelayernorm); leaves the unigram plateau sooner */
};

struct model_options {
    enum model_family family;
    enum model_activation activation;
    enum model_norm norm;
    int64_t layers;       /* L */
    int64_t hidden;       /* C; a multiple of heads */
    int64_t heads;        /* H */
    int64_t feed_forward; /* F */
    int64_t positions;    /* longest sequence; the position table has position_offset more rows */
    int64_t position_offset;  /* RoBERTa: pad id + 1 = 2 */
    int64_t vocabulary;       /* V; 0 in a configuration means: as the corpus' tokenizer has it */
    int64_t type_vocabulary;  /* rows of the segment table; RoBERTa: 1 */
    int64_t pad_id;           /* its embedding row gets no gradient from the input side */
    double dropout;           /* of embeddings and of each sublayer's output */
    double attention_dropout; /* of attention probabilities */
    double norm_epsilon;      /* RoBERTa: 1e-5 */
    double init_range;        /* standard deviation of the initial weights: 0.02 */
};

#endif
