/* The families: for each the rows that its tensors come from, and the few things that rows cannot say. Layers, heads
 * and embeddings ask the parameter table what is there; nothing else asks for a family. */
#ifndef SHARDLM_MODEL_FAMILY_H
#define SHARDLM_MODEL_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model_options.h"
#include "model/parameters.h"

enum family_axis {
    FAMILY_AXIS_NONE,
    FAMILY_AXIS_HIDDEN,
    FAMILY_AXIS_TRIPLE, /* 3C */
    FAMILY_AXIS_INNER,
    FAMILY_AXIS_EMBEDDING, /* E */
    FAMILY_AXIS_VOCABULARY,
    FAMILY_AXIS_POSITIONS,
    FAMILY_AXIS_SEGMENTS,
    FAMILY_AXIS_PAIR_LABELS,
    FAMILY_AXIS_SAME_OR_NOT, /* 2 */
    FAMILY_AXIS_SPAN_POSITIONS,
    FAMILY_AXIS_SPAN_POSITION_WIDTH,
    FAMILY_AXIS_SPAN_INPUT, /* 2C + span position width */
};
enum family_when {
    FAMILY_WHEN_ALWAYS,
    FAMILY_WHEN_POST,
    FAMILY_WHEN_PRE,
    FAMILY_WHEN_PAIRS, /* unless the options do without */
};
enum family_form {
    FAMILY_FORM_PLAIN,
    FAMILY_FORM_JOINED,               /* right behind the row before */
    FAMILY_FORM_INPUT_MAJOR,          /* (in, out): GPT-2's Conv1D */
    FAMILY_FORM_INPUT_MAJOR_RESIDUAL, /* and begins smaller, as it ends in the residual stream */
    FAMILY_FORM_INPUT_HEADS,          /* (in, H, D), input-major */
    FAMILY_FORM_HEADS,                /* (.., H, D): the last axis of the shape is C */
    FAMILY_FORM_SINGLE,               /* (1, 1, C) */
};

/* A tensor. In names, $ stands for the family's prefix, # for the layer's number, @ for its number within a block. */
struct family_row {
    enum parameter_role role;
    enum family_axis rows;
    enum family_axis cols;
    enum family_when when;
    enum family_form form;
    const char *name;
};

struct family_rows {
    const struct family_row *rows;
    int64_t count;
};

struct family {
    enum model_family name;
    enum model_norm norm;
    const char *prefix;
    struct family_rows embeddings;
    struct family_rows attention;    /* of a layer */
    struct family_rows feed_forward; /* of a layer */
    struct family_rows head;
    bool causal;       /* a token sees itself and what stands before it */
    bool relative;     /* attention by distance, over memory, in up to two streams (streams.h) */
    bool shares;       /* its layers may share tensors */
    bool head_is_gelu; /* the MLM head's activation is GELU whatever the layers' */
};

/* NULL: there is no such family, or not with this place of the LayerNorm. */
const struct family *family_find(const struct model_options *options);
/* Whether it has a head for sequence labels (unless the options do without). */
bool family_labels_pairs(const struct family *family);

#endif
