/* THE parameter table: one row per tensor, in the order of the flat parameter space. Offsets, partition, weight
 * decay, initial values and checkpoint names all follow from it; a family is a set of rows (family.h), nothing else.
 *
 * The flat space is cut into groups: the unit of gradient hand-over, reduction and checkpoint files. First the
 * embeddings, last the head, between them the layers': one group per layer; or, where layers share tensors, one per set
 * of shared ones, and then one for each half of a layer (attention, feed-forward) if only one half is shared. Groups
 * stand in the order of the lowest layer that uses them, so that backward completes them from the last to the first.
 * Every group starts at a multiple of PARAMETER_BLOCK elements and is padded with zeros to one.
 * Tensors whose products are computed together (query, key, value) stand next to each other without a gap. */
#ifndef SHARDLM_MODEL_PARAMETERS_H
#define SHARDLM_MODEL_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/model_options.h"

enum {
    PARAMETER_BLOCK =
        4096, /* elements: unit of ownership, norms and fingerprints; part of a run's bits */
    PARAMETER_ALIGNMENT =
        16, /* elements: where a tensor starts, unless it is joined to the one before */
    PARAMETER_NAME_BYTES = 128,
    PARAMETER_AXES_MAX = 3,
};

enum parameter_init {
    PARAMETER_INIT_NORMAL, /* N(0, init_range · init_scale), truncated at two standard deviations */
    PARAMETER_INIT_ZERO,
    PARAMETER_INIT_ONE,
};

/* What a tensor does in the network: how code finds it, whatever a family calls it. */
enum parameter_role {
    PARAMETER_WORD,     /* (V, E) also the tied decoder */
    PARAMETER_POSITION, /* (positions + position_offset, E) */
    PARAMETER_SEGMENT,  /* (type_vocabulary, E) */
    PARAMETER_EMBEDDING_NORM_GAIN,
    PARAMETER_EMBEDDING_NORM_SHIFT,
    PARAMETER_MAPPING_WEIGHT, /* (C, E) from the tables to the layers, where E is not C */
    PARAMETER_MAPPING_BIAS,
    PARAMETER_QUERY_WEIGHT, /* with key and value right behind it, or in one with them: (3C, C) */
    PARAMETER_KEY_WEIGHT,
    PARAMETER_VALUE_WEIGHT,
    PARAMETER_QUERY_BIAS, /* with key and value right behind it: (3C) */
    PARAMETER_KEY_BIAS,
    PARAMETER_VALUE_BIAS,
    PARAMETER_ATTENTION_WEIGHT, /* (C, C) the projection of the heads */
    PARAMETER_ATTENTION_BIAS,
    PARAMETER_ATTENTION_NORM_GAIN, /* post: after the attention's residual sum; pre: before
                                      attention */
    PARAMETER_ATTENTION_NORM_SHIFT,
    PARAMETER_INNER_WEIGHT, /* (F, C) */
    PARAMETER_INNER_BIAS,
    PARAMETER_OUTER_WEIGHT, /* (C, F) */
    PARAMETER_OUTER_BIAS,
    PARAMETER_FEED_FORWARD_NORM_GAIN, /* post: after the feed-forward's residual sum; pre: before it
                                       */
    PARAMETER_FEED_FORWARD_NORM_SHIFT,
    PARAMETER_FINAL_NORM_GAIN, /* pre only: after the last layer */
    PARAMETER_FINAL_NORM_SHIFT,
    PARAMETER_HEAD_WEIGHT, /* (E, C) */
    PARAMETER_HEAD_BIAS,
    PARAMETER_HEAD_NORM_GAIN,
    PARAMETER_HEAD_NORM_SHIFT,
    PARAMETER_DECODER_BIAS,  /* (V) */
    PARAMETER_POOLER_WEIGHT, /* (C, C) */
    PARAMETER_POOLER_BIAS,
    PARAMETER_PAIR_WEIGHT, /* (2, C) next sentence or sentence order */
    PARAMETER_PAIR_BIAS,
    PARAMETER_SPAN_POSITION,     /* (span_positions, P) with P the span position width */
    PARAMETER_SPAN_INNER_WEIGHT, /* (C, 2C + P) */
    PARAMETER_SPAN_INNER_BIAS,
    PARAMETER_SPAN_INNER_NORM_GAIN,
    PARAMETER_SPAN_INNER_NORM_SHIFT,
    PARAMETER_SPAN_OUTER_WEIGHT, /* (C, C) */
    PARAMETER_SPAN_OUTER_BIAS,
    PARAMETER_SPAN_OUTER_NORM_GAIN,
    PARAMETER_SPAN_OUTER_NORM_SHIFT,
    PARAMETER_SPAN_DECODER_BIAS, /* (V) */
    PARAMETER_QUERY_START,       /* (C) XLNet: what every row of the query stream begins as */
    PARAMETER_DISTANCE_WEIGHT,   /* (C, C) of the table of distances */
    PARAMETER_DISTANCE_BIAS,     /* (C) added to queries where they meet distances, */
    PARAMETER_SAME_SEGMENT_BIAS, /* (C) the next tensor, */
    PARAMETER_CONTENT_BIAS,      /* (C) keys */
    PARAMETER_SAME_SEGMENT,      /* (2, C) key of the query's segment, of another */
};

/* The halves of a layer, each with its own group where only one of them is shared. */
enum parameter_half { PARAMETER_HALF_ATTENTION, PARAMETER_HALF_FEED_FORWARD, PARAMETER_HALVES };

struct parameter {
    char name[PARAMETER_NAME_BYTES]; /* Hugging Face's name */
    int64_t rows;   /* first axis */
    int64_t cols;   /* second axis; 0 for a vector of `rows` elements */
    int64_t offset; /* in the flat space, elements */
    int64_t count;  /* elements */
    int64_t axis_count; /* of the shape in files: `shape`, whose product is `count` */
    int64_t shape[PARAMETER_AXES_MAX];
    int64_t group;
    enum parameter_role role;
    bool input_major; /* stored (in, out), against the shapes above: y = x·W */
    bool decays;      /* weight decay applies (never to biases and LayerNorm) */
    enum parameter_init init;
    double init_scale; /* 1, or 1 / sqrt(2L) for what ends in GPT's residual stream */
};

enum parameter_kind {
    PARAMETER_KIND_EMBEDDINGS,
    PARAMETER_KIND_LAYER, /* both halves */
    PARAMETER_KIND_ATTENTION,
    PARAMETER_KIND_FEED_FORWARD,
    PARAMETER_KIND_HEAD,
};

struct parameter_group {
    const char *name; /* "embeddings", "layer-003", "head": also the checkpoint file's name; owned by the table */
    enum parameter_kind kind;
    int64_t lowest_layer;  /* backward completes the gradient here; -1: no layer uses it */
    int64_t highest_layer; /* and begins it here; -1 */
    int64_t place; /* groups of one kind and place are never both begun and not complete */
    int64_t offset;   /* a multiple of PARAMETER_BLOCK */
    int64_t count;    /* padded: a multiple of PARAMETER_BLOCK */
    int64_t first_row; /* its tensors: rows [first_row, first_row + row_count) */
    int64_t row_count;
};

struct parameter_table {
    struct parameter *rows;
    int64_t row_count;
    struct parameter_group *groups;
    int64_t group_count;
    int64_t *layer_groups[PARAMETER_HALVES]; /* (L) of each layer's halves */
    char *names; /* what the groups' names point into */
    int64_t element_count; /* whole flat space, padding included: a multiple of PARAMETER_BLOCK */
    int64_t parameter_count; /* without padding */
};

/* STATUS_INPUT if the options cannot be (heads not dividing hidden, sizes out of range, what the family has not). */
MUST_CHECK enum status parameter_table_init(struct parameter_table *table,
                                            const struct model_options *options,
                                            struct error *error);
void parameter_table_deinit(struct parameter_table *table); /* accepts a zeroed table */
const struct parameter *parameter_find(const struct parameter_table *table, const char *name); /* or NULL */
/* The tensor of `role` in `group`; that it is there is the caller's knowledge of the family. */
const struct parameter *parameter_of(const struct parameter_table *table, int64_t group,
                                     enum parameter_role role);
/* The same, or NULL where the family has none. */
const struct parameter *parameter_maybe(const struct parameter_table *table, int64_t group,
                                        enum parameter_role role);
/* Groups by place. */
int64_t parameter_embedding_group(const struct parameter_table *table);
int64_t parameter_layer_group(const struct parameter_table *table, int64_t layer,
                              enum parameter_half half);
int64_t parameter_head_group(const struct parameter_table *table);

/* Initial values of elements [first, first + count) of the flat space, a pure function of (table, seed): any owner
 * fills its own part. Padding becomes 0. */
void parameter_fill(const struct parameter_table *table, double init_range, uint64_t seed,
                    int64_t first, int64_t count, float *out /* (count) */);

#endif
