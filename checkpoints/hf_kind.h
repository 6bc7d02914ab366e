/* The kinds of networks that a config.json can name, as tables: which family each is, what its keys
 * are called and what missing ones mean. */
#ifndef SHARDLM_CHECKPOINTS_HF_KIND_H
#define SHARDLM_CHECKPOINTS_HF_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model_options.h"

/* A BERT with this key is a SpanBERT. */
#define HF_SPAN_KEY "sbo_max_span"

/* A number. Where `optional`, a key that is missing or null means `standard`. */
struct hf_number {
    const char *name;
    size_t offset; /* in struct model_options */
    bool real;     /* 0 to 1; otherwise an integer from 1 */
    bool optional;
    double standard;
};

/* A row for each model_type. */
struct hf_kind {
    const char *type;
    enum model_family family;
    enum model_norm norm;
    const char *architecture;
    const char *architecture_with_pairs; /* or NULL */
    const struct hf_number *numbers;
    int64_t number_count;
    const struct hf_number *own_numbers; /* more, which transformers keeps without reading */
    int64_t own_count;
    const char *activation_key;
    const char *activation; /* what a missing key means */
    int64_t pad_id;         /* the same; -1: padding is nothing special to this network */
};

const struct hf_kind *hf_kind_of(const struct model_options *options); /* or NULL */
/* `spans`: HF_SPAN_KEY is there. NULL if there is no such kind. */
const struct hf_kind *hf_kind_find(const char *type, bool spans);
const char *hf_activation_name(enum model_activation activation);
/* False if there is none of this name. */
bool hf_activation_find(const char *name, enum model_activation *activation);

#endif
