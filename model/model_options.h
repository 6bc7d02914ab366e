/* What defines a network: options, filled by launch/config.c or from a Hugging Face config.json, and
 * which of them there can be. */
#ifndef SHARDLM_MODEL_MODEL_OPTIONS_H
#define SHARDLM_MODEL_MODEL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { MODEL_LAYERS_MAX = 1000 };

enum model_family {
    MODEL_FAMILY_ROBERTA,
    MODEL_FAMILY_BERT,
    MODEL_FAMILY_ALBERT,
    MODEL_FAMILY_SPANBERT,
    MODEL_FAMILY_GPT,
    MODEL_FAMILY_XLNET,
};

enum model_activation {
    MODEL_ACTIVATION_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    MODEL_ACTIVATION_GELU_TANH, /* "gelu_new" */
    MODEL_ACTIVATION_RELU,
};

enum model_norm {
    MODEL_NORM_POST, /* the published RoBERTa: LayerNorm after each residual sum */
    MODEL_NORM_PRE,  /* LayerNorm before attention and feed-forward, one more at the end (GPT, and Hugging
                        Face's roberta-prelayernorm); leaves the unigram plateau sooner */
};

/* Which tensors the layers of a group have in common (ALBERT). */
enum model_share {
    MODEL_SHARE_NONE,
    MODEL_SHARE_ALL, /* the published ALBERT */
    MODEL_SHARE_ATTENTION,
    MODEL_SHARE_FEED_FORWARD,
};

struct model_options {
    enum model_family family;
    enum model_activation activation;
    enum model_norm norm;
    int64_t layers;       /* L applied, each counted however many tensors they share */
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

    int64_t embedding_width; /* E of ALBERT's tables, at most C; 0: C */
    enum model_share share;  /* ALBERT */
    int64_t groups;          /* ALBERT: cuts the layers into groups that share nothing; 0: 1 */
    int64_t inner_layers;    /* ALBERT: layers of a group's repeated block; 0: 1 */

    bool without_pairs; /* BERT, ALBERT: no pooler and no head for sequence labels */

    int64_t memory_tokens; /* XLNet: tokens of earlier segments that a sequence sees; 0: none */
    int64_t memory_reuse; /* XLNet: how many of a segment's first tokens are remembered; 0: all */
    int64_t distance_max; /* XLNet: two tokens farther apart count as this far; 0: no such limit */
    bool one_way; /* XLNet: without a permutation, a token sees itself and what stands before it
                     ("uni") */

    int64_t span_positions;      /* SpanBERT: places in a span that its head knows: 20 */
    int64_t span_position_width; /* SpanBERT: of a place in a span: 200 */
};

/* E, whether it is given or not. */
static inline int64_t model_embedding_width(const struct model_options *options)
{
    return options->embedding_width == 0 ? options->hidden : options->embedding_width;
}

/* The same of groups and inner_layers. */
static inline int64_t model_layer_groups(const struct model_options *options)
{
    return options->groups == 0 ? 1 : options->groups;
}

static inline int64_t model_inner_layers(const struct model_options *options)
{
    return options->inner_layers == 0 ? 1 : options->inner_layers;
}

/* STATUS_INPUT names what is out of range, does not go together, or is not of the family. */
MUST_CHECK enum status model_options_check(const struct model_options *options,
                                           struct error *error);

#endif
