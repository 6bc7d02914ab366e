/* See family.h. Names are Hugging Face's; a tied decoder is no tensor. */
#include "model/family.h"

#include <stddef.h>

#include "base/error.h"

#define ROW(role, rows, cols, when, form, name)                                                    \
    {                                                                                              \
        PARAMETER_##role, FAMILY_AXIS_##rows, FAMILY_AXIS_##cols, FAMILY_WHEN_##when,              \
            FAMILY_FORM_##form, name                                                               \
    }
#define PLAIN(role, rows, cols, name)  ROW(role, rows, cols, ALWAYS, PLAIN, name)
#define JOINED(role, rows, cols, name) ROW(role, rows, cols, ALWAYS, JOINED, name)
#define VECTOR(role, rows, name)       ROW(role, rows, NONE, ALWAYS, PLAIN, name)
#define POST(role, name)               ROW(role, HIDDEN, NONE, POST, PLAIN, name)
#define PRE(role, name)                ROW(role, HIDDEN, NONE, PRE, PLAIN, name)
#define PAIRS(role, rows, cols, name)  ROW(role, rows, cols, PAIRS, PLAIN, name)
#define ROWS(array)                                                                                \
    {                                                                                              \
        array, ARRAY_LENGTH(array)                                                                 \
    }

/* BERT, RoBERTa, SpanBERT */

#define LAYER "$.encoder.layer.#."

static const struct family_row bert_embeddings[] = {
    PLAIN(WORD, VOCABULARY, HIDDEN, "$.embeddings.word_embeddings.weight"),
    PLAIN(POSITION, POSITIONS, HIDDEN, "$.embeddings.position_embeddings.weight"),
    PLAIN(SEGMENT, SEGMENTS, HIDDEN, "$.embeddings.token_type_embeddings.weight"),
    VECTOR(EMBEDDING_NORM_GAIN, HIDDEN, "$.embeddings.LayerNorm.weight"),
    VECTOR(EMBEDDING_NORM_SHIFT, HIDDEN, "$.embeddings.LayerNorm.bias"),
};

static const struct family_row bert_attention[] = {
    PRE(ATTENTION_NORM_GAIN, LAYER "attention.LayerNorm.weight"),
    PRE(ATTENTION_NORM_SHIFT, LAYER "attention.LayerNorm.bias"),
    PLAIN(QUERY_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.self.query.weight"),
    JOINED(KEY_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.self.key.weight"),
    JOINED(VALUE_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.self.value.weight"),
    VECTOR(QUERY_BIAS, HIDDEN, LAYER "attention.self.query.bias"),
    JOINED(KEY_BIAS, HIDDEN, NONE, LAYER "attention.self.key.bias"),
    JOINED(VALUE_BIAS, HIDDEN, NONE, LAYER "attention.self.value.bias"),
    PLAIN(ATTENTION_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.output.dense.weight"),
    VECTOR(ATTENTION_BIAS, HIDDEN, LAYER "attention.output.dense.bias"),
    POST(ATTENTION_NORM_GAIN, LAYER "attention.output.LayerNorm.weight"),
    POST(ATTENTION_NORM_SHIFT, LAYER "attention.output.LayerNorm.bias"),
};

static const struct family_row bert_feed_forward[] = {
    PRE(FEED_FORWARD_NORM_GAIN, LAYER "intermediate.LayerNorm.weight"),
    PRE(FEED_FORWARD_NORM_SHIFT, LAYER "intermediate.LayerNorm.bias"),
    PLAIN(INNER_WEIGHT, INNER, HIDDEN, LAYER "intermediate.dense.weight"),
    VECTOR(INNER_BIAS, INNER, LAYER "intermediate.dense.bias"),
    PLAIN(OUTER_WEIGHT, HIDDEN, INNER, LAYER "output.dense.weight"),
    VECTOR(OUTER_BIAS, HIDDEN, LAYER "output.dense.bias"),
    POST(FEED_FORWARD_NORM_GAIN, LAYER "output.LayerNorm.weight"),
    POST(FEED_FORWARD_NORM_SHIFT, LAYER "output.LayerNorm.bias"),
};

#undef LAYER

/* RobertaForMaskedLM (post) and RobertaPreLayerNormForMaskedLM (pre) */
static const struct family_row roberta_head[] = {
    PRE(FINAL_NORM_GAIN, "$.LayerNorm.weight"),
    PRE(FINAL_NORM_SHIFT, "$.LayerNorm.bias"),
    PLAIN(HEAD_WEIGHT, HIDDEN, HIDDEN, "lm_head.dense.weight"),
    VECTOR(HEAD_BIAS, HIDDEN, "lm_head.dense.bias"),
    VECTOR(HEAD_NORM_GAIN, HIDDEN, "lm_head.layer_norm.weight"),
    VECTOR(HEAD_NORM_SHIFT, HIDDEN, "lm_head.layer_norm.bias"),
    VECTOR(DECODER_BIAS, VOCABULARY, "lm_head.bias"),
};

#define BERT_MLM_HEAD                                                                              \
    PLAIN(HEAD_WEIGHT, HIDDEN, HIDDEN, "cls.predictions.transform.dense.weight"),                  \
        VECTOR(HEAD_BIAS, HIDDEN, "cls.predictions.transform.dense.bias"),                         \
        VECTOR(HEAD_NORM_GAIN, HIDDEN, "cls.predictions.transform.LayerNorm.weight"),              \
        VECTOR(HEAD_NORM_SHIFT, HIDDEN, "cls.predictions.transform.LayerNorm.bias"),               \
        VECTOR(DECODER_BIAS, VOCABULARY, "cls.predictions.bias")

/* BertForPreTraining; BertForMaskedLM without the pairs */
static const struct family_row bert_head[] = {
    BERT_MLM_HEAD,
    PAIRS(POOLER_WEIGHT, HIDDEN, HIDDEN, "bert.pooler.dense.weight"),
    PAIRS(POOLER_BIAS, HIDDEN, NONE, "bert.pooler.dense.bias"),
    PAIRS(PAIR_WEIGHT, PAIR_LABELS, HIDDEN, "cls.seq_relationship.weight"),
    PAIRS(PAIR_BIAS, PAIR_LABELS, NONE, "cls.seq_relationship.bias"),
};

/* BertForMaskedLM and a span boundary head, for which Hugging Face has no names */
static const struct family_row spanbert_head[] = {
    BERT_MLM_HEAD,
    PLAIN(SPAN_POSITION, SPAN_POSITIONS, SPAN_POSITION_WIDTH, "sbo.position_embeddings.weight"),
    PLAIN(SPAN_INNER_WEIGHT, HIDDEN, SPAN_INPUT, "sbo.linear1.weight"),
    VECTOR(SPAN_INNER_BIAS, HIDDEN, "sbo.linear1.bias"),
    VECTOR(SPAN_INNER_NORM_GAIN, HIDDEN, "sbo.layer_norm1.weight"),
    VECTOR(SPAN_INNER_NORM_SHIFT, HIDDEN, "sbo.layer_norm1.bias"),
    PLAIN(SPAN_OUTER_WEIGHT, HIDDEN, HIDDEN, "sbo.linear2.weight"),
    VECTOR(SPAN_OUTER_BIAS, HIDDEN, "sbo.linear2.bias"),
    VECTOR(SPAN_OUTER_NORM_GAIN, HIDDEN, "sbo.layer_norm2.weight"),
    VECTOR(SPAN_OUTER_NORM_SHIFT, HIDDEN, "sbo.layer_norm2.bias"),
    VECTOR(SPAN_DECODER_BIAS, VOCABULARY, "sbo.bias"),
};

/* ALBERT: AlbertForPreTraining */

#define LAYER "$.encoder.albert_layer_groups.#.albert_layers.@."

static const struct family_row albert_embeddings[] = {
    PLAIN(WORD, VOCABULARY, EMBEDDING, "$.embeddings.word_embeddings.weight"),
    PLAIN(POSITION, POSITIONS, EMBEDDING, "$.embeddings.position_embeddings.weight"),
    PLAIN(SEGMENT, SEGMENTS, EMBEDDING, "$.embeddings.token_type_embeddings.weight"),
    VECTOR(EMBEDDING_NORM_GAIN, EMBEDDING, "$.embeddings.LayerNorm.weight"),
    VECTOR(EMBEDDING_NORM_SHIFT, EMBEDDING, "$.embeddings.LayerNorm.bias"),
    PLAIN(MAPPING_WEIGHT, HIDDEN, EMBEDDING, "$.encoder.embedding_hidden_mapping_in.weight"),
    VECTOR(MAPPING_BIAS, HIDDEN, "$.encoder.embedding_hidden_mapping_in.bias"),
};

static const struct family_row albert_attention[] = {
    PLAIN(QUERY_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.query.weight"),
    JOINED(KEY_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.key.weight"),
    JOINED(VALUE_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.value.weight"),
    VECTOR(QUERY_BIAS, HIDDEN, LAYER "attention.query.bias"),
    JOINED(KEY_BIAS, HIDDEN, NONE, LAYER "attention.key.bias"),
    JOINED(VALUE_BIAS, HIDDEN, NONE, LAYER "attention.value.bias"),
    PLAIN(ATTENTION_WEIGHT, HIDDEN, HIDDEN, LAYER "attention.dense.weight"),
    VECTOR(ATTENTION_BIAS, HIDDEN, LAYER "attention.dense.bias"),
    POST(ATTENTION_NORM_GAIN, LAYER "attention.LayerNorm.weight"),
    POST(ATTENTION_NORM_SHIFT, LAYER "attention.LayerNorm.bias"),
};

static const struct family_row albert_feed_forward[] = {
    PLAIN(INNER_WEIGHT, INNER, HIDDEN, LAYER "ffn.weight"),
    VECTOR(INNER_BIAS, INNER, LAYER "ffn.bias"),
    PLAIN(OUTER_WEIGHT, HIDDEN, INNER, LAYER "ffn_output.weight"),
    VECTOR(OUTER_BIAS, HIDDEN, LAYER "ffn_output.bias"),
    POST(FEED_FORWARD_NORM_GAIN, LAYER "full_layer_layer_norm.weight"),
    POST(FEED_FORWARD_NORM_SHIFT, LAYER "full_layer_layer_norm.bias"),
};

#undef LAYER

static const struct family_row albert_head[] = {
    PLAIN(HEAD_WEIGHT, EMBEDDING, HIDDEN, "predictions.dense.weight"),
    VECTOR(HEAD_BIAS, EMBEDDING, "predictions.dense.bias"),
    VECTOR(HEAD_NORM_GAIN, EMBEDDING, "predictions.LayerNorm.weight"),
    VECTOR(HEAD_NORM_SHIFT, EMBEDDING, "predictions.LayerNorm.bias"),
    VECTOR(DECODER_BIAS, VOCABULARY, "predictions.bias"),
    PAIRS(POOLER_WEIGHT, HIDDEN, HIDDEN, "$.pooler.weight"),
    PAIRS(POOLER_BIAS, HIDDEN, NONE, "$.pooler.bias"),
    PAIRS(PAIR_WEIGHT, PAIR_LABELS, HIDDEN, "sop_classifier.classifier.weight"),
    PAIRS(PAIR_BIAS, PAIR_LABELS, NONE, "sop_classifier.classifier.bias"),
};

/* GPT: GPT2LMHeadModel. Query, key and value are one tensor; no transform and no bias before the
 * logits. */

#define LAYER                        "$.h.#."
#define CONV(role, rows, cols, name) ROW(role, rows, cols, ALWAYS, INPUT_MAJOR, LAYER name)
#define CONV_BACK(role, rows, cols, name)                                                          \
    ROW(role, rows, cols, ALWAYS, INPUT_MAJOR_RESIDUAL, LAYER name)

static const struct family_row gpt_embeddings[] = {
    PLAIN(WORD, VOCABULARY, HIDDEN, "$.wte.weight"),
    PLAIN(POSITION, POSITIONS, HIDDEN, "$.wpe.weight"),
};

static const struct family_row gpt_attention[] = {
    PRE(ATTENTION_NORM_GAIN, LAYER "ln_1.weight"),
    PRE(ATTENTION_NORM_SHIFT, LAYER "ln_1.bias"),
    CONV(QUERY_WEIGHT, HIDDEN, TRIPLE, "attn.c_attn.weight"),
    VECTOR(QUERY_BIAS, TRIPLE, LAYER "attn.c_attn.bias"),
    CONV_BACK(ATTENTION_WEIGHT, HIDDEN, HIDDEN, "attn.c_proj.weight"),
    VECTOR(ATTENTION_BIAS, HIDDEN, LAYER "attn.c_proj.bias"),
};

static const struct family_row gpt_feed_forward[] = {
    PRE(FEED_FORWARD_NORM_GAIN, LAYER "ln_2.weight"),
    PRE(FEED_FORWARD_NORM_SHIFT, LAYER "ln_2.bias"),
    CONV(INNER_WEIGHT, HIDDEN, INNER, "mlp.c_fc.weight"),
    VECTOR(INNER_BIAS, INNER, LAYER "mlp.c_fc.bias"),
    CONV_BACK(OUTER_WEIGHT, INNER, HIDDEN, "mlp.c_proj.weight"),
    VECTOR(OUTER_BIAS, HIDDEN, LAYER "mlp.c_proj.bias"),
};

#undef LAYER

static const struct family_row gpt_head[] = {
    PRE(FINAL_NORM_GAIN, "$.ln_f.weight"),
    PRE(FINAL_NORM_SHIFT, "$.ln_f.bias"),
};

/* XLNet: XLNetLMHeadModel. No position table and no biases at query, key, value and output; what is
 * called bias of the queries begins at random like a matrix. */

#define LAYER "$.layer.#."
#define PROJECTION(role, name)                                                                     \
    ROW(role, HIDDEN, HIDDEN, ALWAYS, INPUT_HEADS, LAYER "rel_attn." name)
#define QUERY(role, name) ROW(role, HIDDEN, NONE, ALWAYS, HEADS, LAYER "rel_attn." name)

static const struct family_row xlnet_embeddings[] = {
    ROW(QUERY_START, HIDDEN, NONE, ALWAYS, SINGLE, "$.mask_emb"),
    PLAIN(WORD, VOCABULARY, HIDDEN, "$.word_embedding.weight"),
};

static const struct family_row xlnet_attention[] = {
    PROJECTION(QUERY_WEIGHT, "q"),
    PROJECTION(KEY_WEIGHT, "k"),
    PROJECTION(VALUE_WEIGHT, "v"),
    ROW(ATTENTION_WEIGHT, HIDDEN, HIDDEN, ALWAYS, HEADS, LAYER "rel_attn.o"),
    PROJECTION(DISTANCE_WEIGHT, "r"),
    QUERY(DISTANCE_BIAS, "r_r_bias"),
    QUERY(SAME_SEGMENT_BIAS, "r_s_bias"),
    QUERY(CONTENT_BIAS, "r_w_bias"),
    ROW(SAME_SEGMENT, SAME_OR_NOT, HIDDEN, ALWAYS, HEADS, LAYER "rel_attn.seg_embed"),
    POST(ATTENTION_NORM_GAIN, LAYER "rel_attn.layer_norm.weight"),
    POST(ATTENTION_NORM_SHIFT, LAYER "rel_attn.layer_norm.bias"),
};

static const struct family_row xlnet_feed_forward[] = {
    POST(FEED_FORWARD_NORM_GAIN, LAYER "ff.layer_norm.weight"),
    POST(FEED_FORWARD_NORM_SHIFT, LAYER "ff.layer_norm.bias"),
    PLAIN(INNER_WEIGHT, INNER, HIDDEN, LAYER "ff.layer_1.weight"),
    VECTOR(INNER_BIAS, INNER, LAYER "ff.layer_1.bias"),
    PLAIN(OUTER_WEIGHT, HIDDEN, INNER, LAYER "ff.layer_2.weight"),
    VECTOR(OUTER_BIAS, HIDDEN, LAYER "ff.layer_2.bias"),
};

#undef LAYER

static const struct family_row xlnet_head[] = {
    VECTOR(DECODER_BIAS, VOCABULARY, "lm_loss.bias"),
};

static const struct family families[] = {
    {.name = MODEL_FAMILY_ROBERTA,
     .norm = MODEL_NORM_POST,
     .prefix = "roberta",
     .embeddings = ROWS(bert_embeddings),
     .attention = ROWS(bert_attention),
     .feed_forward = ROWS(bert_feed_forward),
     .head = ROWS(roberta_head),
     .head_is_gelu = true},
    {.name = MODEL_FAMILY_ROBERTA,
     .norm = MODEL_NORM_PRE,
     .prefix = "roberta_prelayernorm",
     .embeddings = ROWS(bert_embeddings),
     .attention = ROWS(bert_attention),
     .feed_forward = ROWS(bert_feed_forward),
     .head = ROWS(roberta_head),
     .head_is_gelu = true},
    {.name = MODEL_FAMILY_BERT,
     .norm = MODEL_NORM_POST,
     .prefix = "bert",
     .embeddings = ROWS(bert_embeddings),
     .attention = ROWS(bert_attention),
     .feed_forward = ROWS(bert_feed_forward),
     .head = ROWS(bert_head)},
    {.name = MODEL_FAMILY_SPANBERT,
     .norm = MODEL_NORM_POST,
     .prefix = "bert",
     .embeddings = ROWS(bert_embeddings),
     .attention = ROWS(bert_attention),
     .feed_forward = ROWS(bert_feed_forward),
     .head = ROWS(spanbert_head)},
    {.name = MODEL_FAMILY_ALBERT,
     .norm = MODEL_NORM_POST,
     .prefix = "albert",
     .embeddings = ROWS(albert_embeddings),
     .attention = ROWS(albert_attention),
     .feed_forward = ROWS(albert_feed_forward),
     .head = ROWS(albert_head),
     .shares = true},
    {.name = MODEL_FAMILY_GPT,
     .norm = MODEL_NORM_PRE,
     .prefix = "transformer",
     .embeddings = ROWS(gpt_embeddings),
     .attention = ROWS(gpt_attention),
     .feed_forward = ROWS(gpt_feed_forward),
     .head = ROWS(gpt_head),
     .causal = true},
    {.name = MODEL_FAMILY_XLNET,
     .norm = MODEL_NORM_POST,
     .prefix = "transformer",
     .embeddings = ROWS(xlnet_embeddings),
     .attention = ROWS(xlnet_attention),
     .feed_forward = ROWS(xlnet_feed_forward),
     .head = ROWS(xlnet_head),
     .relative = true},
};

const struct family *family_find(const struct model_options *options)
{
    for (int64_t i = 0; i < ARRAY_LENGTH(families); i++) {
        if (families[i].name == options->family && families[i].norm == options->norm) {
            return &families[i];
        }
    }
    return NULL;
}

bool family_labels_pairs(const struct family *family)
{
    for (int64_t i = 0; i < family->head.count; i++) {
        if (family->head.rows[i].when == FAMILY_WHEN_PAIRS) {
            return true;
        }
    }
    return false;
}
