/* The memory plan of one step: what each layer keeps for backward, what is scratch, and where gradients are formed. One
 * block, taken once; the same code that hands it out measures it, so model_work_bytes() is right to the byte.
 *
 * Kept per layer and token: 6C + F + H + 4 floats and a few bits of dropout (C width, F inner width, H heads). Normalised
 * values and activations are computed again in backward: they cost little beside the matrix products. A model that does
 * not train has one set for all layers. */
#ifndef SHARDLM_MODEL_ACTIVATIONS_H
#define SHARDLM_MODEL_ACTIVATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data_pipeline/batch.h"
#include "kernels/kernels.h"
#include "model/model_options.h"
#include "model/parameters.h"

/* Mean and reciprocal standard deviation of each row that a LayerNorm read. */
struct norm_statistics {
    float *mean; /* (N) */
    float *rstd; /* (N) */
};

struct layer_activations {
    float *qkv;           /* (N, 3C) with biases */
    float *heads;         /* (N, C) attention's output, before the projection */
    float *log_sum;       /* (H, N) of attention's softmax */
    float *attention_sum; /* (N, C) residual sum after attention */
    float *inner;         /* (N, F) feed-forward before its activation, with bias */
    float *output_sum;    /* (N, C) residual sum after feed-forward; pre-norm: the layer's output */
    struct norm_statistics attention_norm;
    struct norm_statistics feed_forward_norm;
    uint32_t *attention_bits;    /* (N·C bits) dropout of the attention's output */
    uint32_t *feed_forward_bits; /* (N·C bits) dropout of the feed-forward's output */
};

struct embedding_activations {
    float *sum;      /* (N, C) of the three tables */
    float *embedded; /* (N, C) what enters the first layer */
    struct norm_statistics norm;
    uint32_t *bits; /* (N·C bits) */
};

/* The masked LM head: K target rows; logits only a chunk of rows at a time. */
struct head_activations {
    float *rows;      /* (K, C) hidden states of the target rows */
    float *inner;     /* (K, C) dense output before its activation */
    float *activated; /* (K, C) */
    float *normed;    /* (K, C) what meets the word table */
    float *d_normed;  /* (K, C) training only */
    float *d_inner;   /* (K, C) training only */
    float *logits;    /* (head_chunk_rows, V) */
    struct norm_statistics norm;
};

enum { ACTIVATIONS_NARROW = 4 };

struct activations {
    struct embedding_activations embedding;
    struct layer_activations *layers;  /* (L) all the same one if the model does not train */
    struct norm_statistics final_norm; /* pre-norm only */
    struct head_activations head;
    float *narrow[ACTIVATIONS_NARROW]; /* (N, C) scratch; encoder.c says who uses which */
    float *wide;                       /* (N, max(F, 3C)) scratch */
    float *attention_scratch;
    float *embedding_gradient; /* (group.count) training only */
    float *layer_gradient;     /* (group.count) training only; one after another */
    float *head_gradient;      /* (group.count) training only */
    void *block;               /* everything above */
};

/* Bytes of a chunk of logits. Each chunk reads the word table twice and its gradient once more: at V 50265, C 256 and
 * 154 targets a step took 540 ms with one chunk, 590 ms with 16 MiB, 735 ms with 4 MiB. Part of a run's bits (the order
 * in which the tied matrix' gradient is summed). */
enum { HEAD_LOGITS_BYTES = 32 << 20, HEAD_CHUNK_ROWS_MIN = 16 };
int64_t head_chunk_rows(int64_t vocabulary); /* most rows of a chunk */

/* Bytes that activations_open takes. */
int64_t activations_bytes(const struct kernels *kernels, const struct model_options *options,
                          const struct parameter_table *table, const struct batch_limits *limits,
                          bool trains);
void activations_open(struct activations *activations, const struct kernels *kernels,
                      const struct model_options *options, const struct parameter_table *table,
                      const struct batch_limits *limits, bool trains);
void activations_close(struct activations *activations); /* accepts a zeroed struct */

#endif
