/* The memory plan of one step: what each layer keeps for backward, what is scratch, and where
 * gradients are formed. One block, taken once; the same code that hands it out measures it, so
 * model_work_bytes() is right to the byte.
 *
 * Kept per layer and token: 6C + 2F + H + 4 floats and the bits of dropout (C width, F inner width, H
 * heads; in bf16 one F is half as wide), or less (model_role.h). Normalised values are always computed
 * again in backward: they cost little beside the matrix products. A model that does not train has one
 * set for all layers. N counts the query stream's rows too, where there is one. Widths of what is cut
 * into parts are those of the parts that are computed here ("local": parts.h). */
#ifndef SHARDLM_MODEL_ACTIVATIONS_H
#define SHARDLM_MODEL_ACTIVATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/batch.h"
#include "kernels/kernels.h"
#include "model/gradient_blocks.h"
#include "model/handover.h"
#include "model/model_options.h"
#include "model/model_role.h"
#include "model/parameters.h"
#include "model/section.h"
#include "model/streams.h"

/* Mean and reciprocal standard deviation of each row that a LayerNorm read. */
struct norm_statistics {
    float *mean; /* (N) */
    float *rstd; /* (N) */
};

/* Layers have in common what model_role.h does not keep of them. */
struct layer_activations {
    float *qkv;           /* (N, local 3C) with biases */
    float *heads;         /* (N, local C) attention's output, before the projection */
    float *log_sum;       /* (local H, N) of attention's softmax */
    uint8_t *probability_bits; /* dropout of probabilities, as attention leaves it; NULL: none, or not kept */
    float *attention_sum; /* (N, C) residual sum after attention */
    float *inner;     /* (N, local F) feed-forward before its activation, with bias; then that one's slopes */
    void *activated;  /* (N, local F) after it, rounded if the kernels round; NULL: not kept, and inner is as it was */
    float *output_sum;    /* (N, C) residual sum after feed-forward; pre-norm: the layer's output */
    struct norm_statistics attention_norm;
    struct norm_statistics feed_forward_norm;
    uint32_t *attention_bits;    /* (N·C bits) dropout of the attention's output */
    uint32_t *feed_forward_bits; /* (N·C bits) dropout of the feed-forward's output */
};

struct embedding_activations {
    float *sum;      /* (N, E) of the tables; the same as `leaving` where no LayerNorm follows */
    float *leaving;  /* (N, E) after LayerNorm and dropout; the same as `embedded` unless that is mapped */
    float *embedded; /* (N, C) what enters the section's first layer */
    struct norm_statistics norm;
    uint32_t *bits; /* (N·E bits) */
};

/* Dense, activation, LayerNorm on K rows of a head, to width W. */
struct transform_activations {
    float *inner;     /* (K, W) slopes of the activation of the dense output */
    float *activated; /* (K, W) */
    float *normed;    /* (K, W) */
    float *d_normed;  /* (K, W) training only */
    float *d_inner;   /* (K, W) training only */
    struct norm_statistics norm;
};

/* The language model head: K target rows; logits only a chunk of rows at a time. */
struct head_activations {
    float *rows;   /* (K, C) hidden states of the target rows */
    float *d_rows; /* (K, C) training only */
    float *logits; /* (head_chunk_rows, local V) */
    struct transform_activations transform; /* to E, with d_rows as d_normed; not in GPT */
};

/* The sequence label head: at most B rows, P of them used. */
struct pair_activations {
    int32_t *rows;   /* (P) first rows of the labelled sequences */
    int32_t *labels; /* (P) */
    float *first;    /* (P, C) hidden states there */
    float *inner;    /* (P, C) slopes of the activation of the dense output */
    float *pooled;   /* (P, C) */
    float *logits;   /* (P, 2) */
    float *d_inner;  /* (P, C) training only */
};

/* The span boundary head: at most K rows, S of them used. */
struct span_activations {
    int32_t *left_rows;  /* (S) */
    int32_t *right_rows; /* (S) */
    int32_t *places;     /* (S) */
    int32_t *targets;    /* (S) */
    float *in;           /* (S, 2C + P) with P the span position width */
    float *part;         /* (S, max(C, P)) scratch */
    float *d_in;         /* (S, 2C + P) training only */
    float *logits;       /* those of the language model head */
    struct transform_activations inner;
    struct transform_activations outer;
};

/* Attention by distance. */
struct relative_activations {
    struct streams streams; /* arrays for a batch's plan */
    float *distances;       /* (.., C) the sinusoids of distances, from distance_most down */
    int64_t distance_most;
    int64_t c;
    float *r;   /* (distance_count, C) projected */
    float *k;   /* (keys, C) where there is memory: in the order of the keys */
    float *v;   /* (keys, C) */
    float *d_r; /* training only, as all below */
    float *d_k;
    float *d_v;
    float *scratch; /* the kernel's */
};

/* The sinusoids from distance `first` down. */
const float *relative_distances(const struct relative_activations *relative, int64_t first);

enum { ACTIVATIONS_NARROW = 4 };

struct activations {
    struct parts parts; /* with its scratch */
    enum model_recompute recompute;
    struct section section;
    struct handover handover;
    struct embedding_activations embedding;
    struct layer_activations *layers;  /* (L); zero outside the section */
    struct norm_statistics final_norm; /* pre-norm only */
    struct head_activations head;
    struct pair_activations pair; /* families that have it */
    struct span_activations span; /* families that have it */
    float *narrow[ACTIVATIONS_NARROW]; /* (N, C) scratch; encoder.c says who uses which */
    float *wide;                       /* (N + 1, local max(F, 3C)) scratch */
    int32_t *needed_rows;              /* (N) of the last state (needed.h) */
    float *attention_scratch;
    struct relative_activations relative; /* families that have it; instead of attention_scratch */
    /* Training only, one for each group; layers that never are in work together have the same memory. */
    float **gradients;
    struct gradient_blocks *blocks; /* what of the group that is */
    void *block;       /* everything above */
};

/* Bytes of a chunk of logits. Each chunk reads the word table twice and its gradient once more: at V 50265, C 256 and
 * 154 targets a step took 540 ms with one chunk, 590 ms with 16 MiB, 735 ms with 4 MiB. Part of a run's bits (the order
 * in which the tied matrix' gradient is summed). */
enum { HEAD_LOGITS_BYTES = 32 << 20, HEAD_CHUNK_ROWS_MIN = 16 };
int64_t head_chunk_rows(int64_t vocabulary); /* most rows of a chunk */

/* Sets that a role needs: one for each slot in flight. They differ in what backward reads again: what entered the
 * section, and what its layers keep. */
int64_t activations_sets(const struct model_options *options, const struct batch_limits *limits,
                         const struct model_role *role);
/* Bytes that activations_open takes. */
int64_t activations_bytes(const struct kernels *kernels, const struct model_options *options,
                          const struct parameter_table *table, const struct batch_limits *limits,
                          const struct model_role *role);
void activations_open(struct activations *sets, const struct kernels *kernels,
                      const struct model_options *options, const struct parameter_table *table,
                      const struct batch_limits *limits, const struct model_role *role);
void activations_close(struct activations *sets); /* accepts a zeroed struct */

#endif
