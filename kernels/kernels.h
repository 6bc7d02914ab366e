/* The contract of the arithmetic: for every operation its formula, its shapes and the order of its sums. A table of
 * functions with two implementations: `reference` (the obviously right one, the specification) and `cpu` (vector code,
 * compiled once per vector level, the same bits on every level). No kernel allocates, opens files or knows MPI.
 *
 * Arrays are row-major and dense unless a leading dimension is given; outputs come first. N rows, C columns.
 * Order of sums: a reduction over columns uses KERNELS_LANES virtual lanes (element j goes to lane j mod LANES in
 * ascending j) which are then added pairwise (i with i + 8, + 4, + 2, + 1); a reduction over rows goes in ascending row
 * order per column, each row added to what the sum holds. No contraction: an fma is written as one or does not
 * happen. exp, the normal distribution and log are our own (functions.h).
 * An element of a matrix product is summed in blocks of KERNELS_MATMUL_BLOCK values of k: a chain of fmas from 0 in
 * ascending k; alpha times a block's sum is added to C, block after block. So its bits depend on no shape, no tile and
 * no vector level. */
#ifndef SHARDLM_KERNELS_KERNELS_H
#define SHARDLM_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"

enum {
    KERNELS_VERSION = 5, /* one more with every change of a vector level's bits, or of the model's */
    KERNELS_LANES = 16,
    KERNELS_BLOCK = 1024,
    KERNELS_MATMUL_BLOCK = 384,
    KERNELS_PROFILE_BYTES = 192,
};

enum kernels_level {
    KERNELS_LEVEL_REFERENCE, /* plain C, for tests */
    KERNELS_LEVEL_AVX2,      /* x86-64-v3 */
    KERNELS_LEVEL_AVX512,    /* x86-64-v4 */
};

enum kernels_activation {
    KERNELS_ACTIVATION_GELU,
    KERNELS_ACTIVATION_GELU_TANH,
    KERNELS_ACTIVATION_RELU,
    KERNELS_ACTIVATION_TANH, /* poolers */
};

/* Which keys a query sees within its own sequence: all, those up to its own, or what a list says. */
enum kernels_attention {
    KERNELS_ATTENTION_FULL,
    KERNELS_ATTENTION_CAUSAL,
    KERNELS_ATTENTION_VISIBLE, /* struct kernels_visibility */
};

/* Dropout of a tensor: element i is kept where the 16-bit value number i of the stream (key, site) is at least
 * `threshold`; kept values are multiplied by scale = 65536 / (65536 - threshold). Value i is half (i mod 8) of
 * random_at(key, site, i / 8): word (i mod 8) / 2, low half first. threshold 0: nothing is dropped. */
struct kernels_dropout {
    struct random_key key;
    uint64_t site;      /* names layer and place */
    uint32_t threshold; /* round(rate · 65536) */
    float scale;
};

/* Any visibility within a sequence (knowledge trees), in a few numbers a row instead of a matrix: each query row has a
 * list of key intervals. Rows that see the same (the trunk of a tree, the tokens of one branch) may share a list. A row
 * that sees nothing gets out 0 and log_sum +infinity and takes no part in gradients. */
struct kernels_visibility {
    const int32_t *lists;     /* (N, 2): of each query row, its first interval and the one behind its last */
    const int32_t *intervals; /* (any, 2): keys [from, to), offsets in the sequence; ascending, none empty, apart */
};

struct kernels_attention_shape {
    int64_t sequence_count; /* B */
    const int32_t *starts;  /* (B + 1) */
    int64_t heads;          /* H */
    int64_t first_head;     /* number of the first one in the whole layer, where these are a part of its heads */
    int64_t head_width;     /* D; C = H · D */
    enum kernels_attention kind;
    float scale;                                 /* 1 / sqrt(D) */
    struct kernels_dropout dropout;              /* of probabilities; element index: see attention_forward */
    const struct kernels_visibility *visibility; /* KERNELS_ATTENTION_VISIBLE only */
    /* The rows that ask, ascending; NULL: all. Query i of them is row i of qkv's query columns, of out and of log_sum;
     * rows behind the last query are neither read nor written there. Dropout and visibility go by the rows that ask. */
    const int32_t *queries;
    int64_t query_count;
    /* kernels_attention_kept() bytes where forward leaves dropout's bits for backward, which has the same shape and
     * else makes them again (NULL). */
    uint8_t *kept;
};

/* Attention with relative positions (Transformer-XL, XLNet). Queries and keys are rows of their own: a sequence's keys
 * are its memory, then its tokens; its queries are all its tokens (content stream) or the ones to predict (query
 * stream). Query i is at key `places[i]` of its sequence; the position of key j, as seen from there, is places[i] - j
 * (negated in a reversed sequence), and row zero_row - position of the position table must exist for every pair.
 * Query i sees key j where key_orders[j] < query_orders[i], or j is its own place and sees_itself. For a permutation:
 * keys that all may see (memory, context) -1, others their rank; queries of context 0, of targets their rank, of what
 * is neither (separators) their rank + 1. A row that sees nothing gets out 0 and log_sum +infinity and takes no part in
 * gradients. Rows of gradients that belong to memory are filled like others; the caller drops them. */
struct kernels_relative_shape {
    int64_t sequence_count;      /* B */
    const int32_t *query_starts; /* (B + 1); Q = query_starts[B] */
    const int32_t *key_starts;   /* (B + 1); K = key_starts[B] */
    int64_t heads;               /* H */
    int64_t head_width;          /* D; C = H · D */
    int64_t zero_row;            /* of the position table: position 0 */
    const int32_t *reversed;     /* (B) 1: reversed; NULL: none is */
    const int32_t *places;       /* (Q) in [0, keys of the sequence) */
    const int32_t *query_orders; /* (Q) */
    const int32_t *key_orders;   /* (K) */
    const int32_t *query_segments; /* (Q) */
    const int32_t *key_segments;   /* (K); NULL: no segment term */
    bool sees_itself;
    float scale;                    /* 1 / sqrt(D) */
    struct kernels_dropout dropout; /* of probabilities; element (h · Q + i) · K_max + j as in attention_forward */
};

struct kernels_relative_inputs {
    const float *q;                 /* (Q, C) */
    const float *k;                 /* (K, C) */
    const float *v;                 /* (K, C) */
    const float *r;                 /* (P, C): the position table, projected */
    const float *content_bias;      /* (C) r_w_bias of XLNet */
    const float *position_bias;     /* (C) r_r_bias */
    const float *segment_bias;      /* (C) r_s_bias */
    const float *segment_embedding; /* (2, C): key of the same segment, of another */
};

struct kernels_relative_gradients {
    float *q; /* written; all others are added to */
    float *k;
    float *v;
    float *r;
    float *content_bias;
    float *position_bias;
    float *segment_bias;
    float *segment_embedding;
};

/* A row of logits, or a part of its columns: what the parts of a softmax tell each other. */
struct kernels_softmax_part {
    double sum;   /* Σ exp(logit - most) */
    float most;   /* the largest logit */
    float target; /* the target's logit; -infinity where another part has it */
    int32_t best; /* lowest column that has the largest logit; -1: none does (not a number) */
};

/* In double, because 1 - beta2 of a float 0.999 is already wrong in the fifth digit; each factor that the formula of
 * adamw() needs is rounded to float once. */
struct kernels_adamw {
    double rate; /* learning rate of this step */
    double beta1, beta2;
    double epsilon;
    double weight_decay;   /* 0 where decay does not apply */
    double correction1;    /* 1 / (1 - beta1^t); 1: no bias correction */
    double correction2;    /* 1 / (1 - beta2^t); 1: no bias correction */
    double gradient_scale; /* multiplies the gradient first (normalisation and clipping) */
};

/* A matrix that is multiplied. */
struct kernels_matrix {
    const void *values; /* floats; uint16_t where they are rounded */
    int64_t ld;         /* elements between rows as stored */
    bool transposed;
    bool rounded; /* by the kernels' `round` */
};

static inline struct kernels_matrix matrix_of(const float *values, int64_t ld)
{
    return (struct kernels_matrix){.values = values, .ld = ld};
}

static inline struct kernels_matrix matrix_transposed(const float *values, int64_t ld)
{
    return (struct kernels_matrix){.values = values, .ld = ld, .transposed = true};
}

/* Weights and both moments of the same elements. */
struct kernels_state {
    float *weights;
    float *first;
    float *second;
};

struct kernels {
    enum kernels_level level;
    char profile[KERNELS_PROFILE_BYTES]; /* "kernels 5": same text, same bits */

    /* C (m, n) = alpha · op(A) (m, k) · op(B) (k, n) + beta · C. beta 0 does not read C. */
    void (*matmul)(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                   struct kernels_matrix b, float beta, float *c, int64_t ldc);
    /* What matmul makes of an operand's elements; rounded once they are half the bytes, and the product has the same
     * bits. `out` may be where `in` is. NULL: matmul takes floats as they are. */
    void (*round)(uint16_t *out, const float *in, int64_t count);

    /* out[i] = (word[ids[i]] + position[positions[i] + position_offset]) + type[segments[i]] (segments NULL: row 0).
     * position, type NULL: the family has none. */
    void (*embedding_forward)(float *out /* (N, C) */, const float *word, const float *position,
                              const float *type, const int32_t *ids, const int32_t *positions,
                              const int32_t *segments, int64_t position_offset, int64_t n,
                              int64_t c);
    /* Adds rows of d_out to the three tables in ascending row order; the word row `pad_id` gets none (-1: all do).
     * Any table may be NULL: left out. */
    void (*embedding_backward)(float *d_word, float *d_position, float *d_type, const float *d_out,
                               const int32_t *ids, const int32_t *positions,
                               const int32_t *segments, int64_t position_offset, int64_t pad_id,
                               int64_t n, int64_t c);

    /* Kept-bits of a dropout for `count` elements: bit i of `bits` ((count + 31) / 32 words). */
    void (*dropout_bits)(uint32_t *bits, const struct kernels_dropout *dropout, int64_t count);
    /* out = kept ? in · scale : 0. bits NULL: copy. In place allowed. */
    void (*dropout_apply)(float *out, const float *in, const uint32_t *bits, float scale,
                          int64_t count);

    /* sum = residual + dropout(x + bias); normed = (sum - mean)·rstd·gain + shift, over each row; variance biased, in
     * two passes. residual, bias, bits may be NULL. `sum` may be `x` or `residual`, `normed` may be `x` if `sum` is
     * not. normed NULL: only the sum (mean, rstd, gain, shift are not used). Bit i·C + j of `bits` is element
     * (i, j). */
    void (*residual_norm_forward)(float *sum, float *normed, float *mean, float *rstd,
                                  const float *residual, const float *x, const float *bias,
                                  const uint32_t *bits, float scale, const float *gain,
                                  const float *shift, float epsilon, int64_t n, int64_t c);
    /* LayerNorm backward: d_sum = (d_pass or 0) + norm'(d_normed); d_gain, d_shift are added to. d_sum may be d_pass or
     * d_normed.
     * With y = (sum - mean)·rstd, g = d_normed·gain: d = rstd·(g - mean(g) - y·mean(g·y)). */
    void (*norm_backward)(float *d_sum, float *d_gain, float *d_shift, const float *d_pass,
                          const float *d_normed, const float *sum, const float *mean,
                          const float *rstd, const float *gain, int64_t n, int64_t c);

    /* pre += bias (NULL: as is); out = activation(pre), slope (NULL: not wanted) = activation'(pre). slope may be pre,
     * which else is left with the bias added. */
    void (*activation_forward)(float *out, float *slope, float *pre, const float *bias,
                               enum kernels_activation kind, int64_t n, int64_t c);
    /* d_pre = d_out · slope; d_bias += column sums of d_pre, as bias_backward. d_pre may be d_out. */
    void (*activation_backward)(float *d_pre, float *d_bias, const float *d_out,
                                const float *slope, int64_t n, int64_t c);
    /* out[i] += bias. */
    void (*bias_forward)(float *out, const float *bias, int64_t n, int64_t c);
    /* d_bias += column sums of d_out: row after row is added to what d_bias holds. */
    void (*bias_backward)(float *d_bias, const float *d_out, int64_t n, int64_t c);

    /* Packed multi-head attention: sequences do not see each other. qkv (N, 3C): columns [0, C) query, [C, 2C) key,
     * [2C, 3C) value, head h at h·D in each. out (N, C). log_sum (H, N): log of the softmax denominator per row, all
     * that is kept for backward. Dropout element of query row q, key at offset j in its sequence, head h:
     * ((first_head + h) · N + q) · T_max + j with T_max the longest sequence, rounded up to 8.
     * scratch: attention_scratch() floats, which is a block of query rows by one sequence's keys. */
    void (*attention_forward)(float *out, float *log_sum, const float *qkv,
                              const struct kernels_attention_shape *shape, float *scratch);
    /* d_qkv (N, 3C) is written. */
    void (*attention_backward)(float *d_qkv, const float *d_out, const float *out,
                               const float *log_sum, const float *qkv,
                               const struct kernels_attention_shape *shape, float *scratch);
    int64_t (*attention_scratch)(int64_t longest_sequence, int64_t head_width);

    /* score_ij = scale · ((q_i + content_bias)·k_j + (q_i + position_bias)·r_x + (q_i + segment_bias)·e_s), with x the
     * row for the position of j and e_s the row of the segment embedding; out = dropout(softmax(score)) v. out (Q, C),
     * log_sum (H, Q). Gradients of keys, values, positions, biases and segments are added up over sequences, heads and
     * blocks of queries in ascending order. scratch: relative_scratch() floats. */
    void (*relative_forward)(float *out, float *log_sum,
                             const struct kernels_relative_inputs *inputs,
                             const struct kernels_relative_shape *shape, float *scratch);
    void (*relative_backward)(const struct kernels_relative_gradients *gradients,
                              const float *d_out, const float *log_sum,
                              const struct kernels_relative_inputs *inputs,
                              const struct kernels_relative_shape *shape, float *scratch);
    int64_t (*relative_scratch)(int64_t longest_keys, int64_t head_width);

    /* Rows: out[i] = in[rows[i]]; and out[rows[i]] += in[i], ascending i. */
    void (*rows_gather)(float *out, const float *in, const int32_t *rows, int64_t count, int64_t c);
    void (*rows_scatter_add)(float *out, const float *in, const int32_t *rows, int64_t count,
                             int64_t c);

    /* Rows of logits (count, V), V >= 1, bias (V) or NULL added first. Σ exp(x - max) goes in blocks of KERNELS_BLOCK
     * columns, which are added in double, ascending. Adds Σ (log Σ exp - logit[target]) to *loss_sum (double,
     * ascending rows) and the number of rows whose largest logit (lowest id on ties) is the target to *correct. With
     * `gradient_scale` != 0 the logits become gradient_scale · (softmax - one_hot); with 0 they are left with the bias
     * added. */
    void (*softmax_cross_entropy)(float *logits, const float *bias, const int32_t *targets,
                                  float gradient_scale, double *loss_sum, int64_t *correct,
                                  int64_t count, int64_t v);

    /* The same in parts of columns: logits (count, v), rows ld apart, are columns [first, first + v) of the vocabulary,
     * v >= 1. Adds the bias (v) or NULL, fills `parts` (count), and leaves exp(logit - most) where `keeps`. */
    void (*softmax_part)(float *logits, int64_t ld, const float *bias, const int32_t *targets,
                         int64_t first, bool keeps, struct kernels_softmax_part *parts,
                         int64_t count, int64_t v);
    /* What softmax_part left becomes the gradient: exponentials times gradient_scale · exp(part.most - whole.most) /
     * whole.sum, less gradient_scale at the target. `wholes`: kernels_softmax_join's. */
    void (*softmax_part_gradient)(float *logits, int64_t ld, const int32_t *targets, int64_t first,
                                  float gradient_scale, const struct kernels_softmax_part *parts,
                                  const struct kernels_softmax_part *wholes, int64_t count,
                                  int64_t v);

    /* sums[i] += round_to_nearest_even(values[i] · 2^fraction_bits), exact in int64. Returns false, with nothing added,
     * if any |values[i]| is not below 2^limit_bits or not finite. */
    bool (*fixed_point_add)(int64_t *sums, const float *values, int fraction_bits, int limit_bits,
                            int64_t count);
    /* The same to sums of 0, which need not stand there: sums are written, past the caches where that pays. */
    bool (*fixed_point_set)(int64_t *sums, const float *values, int fraction_bits, int limit_bits,
                            int64_t count);
    /* The same, and nothing follows: gradient[i] = (float)(sum · 2^-fraction_bits), one rounding, of what sums[i] would
     * be, and square_sum() of the gradient into *squares. No `sums` (NULL): they are 0; no `values`: nothing is added.
     * The gradient may stand where the sums do, both beginning there. False: sums are as before; where none were given,
     * the gradient is of no use. */
    bool (*fixed_point_finish)(float *gradient, double *squares, const int64_t *sums,
                               const float *values, int fraction_bits, int limit_bits,
                               int64_t count);

    /* Σ values[i]², in double, KERNELS_LANES lanes as above. */
    double (*square_sum)(const float *values, int64_t count);

    /* torch's AdamW: g = gradient·gradient_scale; w *= 1 - rate·decay; m = b1 m + (1-b1) g; v = b2 v + (1-b2) (g·g);
     * w -= (rate·correction1) · (m / (sqrt(v·correction2) + epsilon)). The arrays of `to` are those of `from`, or
     * overlap none of them. */
    void (*adamw)(const struct kernels_state *to, const struct kernels_state *from,
                  const float *gradient, const struct kernels_adamw *options, int64_t count);

    /* LAMB, in parts because its step needs the norms of a whole tensor:
     * moments: m, v as in adamw; direction: r = (m·correction1) / (sqrt(v·correction2) +
     * epsilon) + decay·w, from the new moments and the old weights; apply: w -= step·r, step = rate ·
     * kernels_trust_ratio(Σ w², Σ r²).
     * Both sums are square_sum() of the tensor's part in each fixed block of the flat space, added in index order; the
     * direction is cheap enough to be computed again for apply, so a block of it is all the memory that it takes.
     * correction1 = correction2 = 1: no bias correction (here and in adamw, as the original BERT has it). */
    void (*lamb_moments)(float *first, float *second, const float *gradient,
                         const struct kernels_adamw *options, int64_t count);
    void (*lamb_direction)(float *direction, const float *weights, const float *first,
                           const float *second, const struct kernels_adamw *options, int64_t count);
    void (*lamb_apply)(float *weights, const float *direction, double step, int64_t count);
};

/* The best level that this processor runs. */
enum kernels_level kernels_level_best(void);
const char *kernels_level_name(enum kernels_level level); /* "reference", "avx2", "avx512" */

/* Fills the table. STATUS_INPUT if this processor cannot run `level`. */
MUST_CHECK enum status kernels_open(struct kernels *kernels, enum kernels_level level,
                                    struct error *error);

/* Makes `matmul` round its operands to bf16 (nearest even; denormals become 0) and add products to sums in fp32: of two
 * neighbours k, k + 1 (k even) the second product first, in a chain of fmas; the first block has beta, and blocks are
 * 2 · KERNELS_MATMUL_BLOCK values of k. So are packed attention's products (but at the reference level), and from the
 * gradients of a sequence's keys, head by head, their mean is taken, which is zero in exact arithmetic; attention by
 * distance keeps its fp32 products. STATUS_INPUT unless the level is the reference, or AVX-512 on a processor that has
 * AVX512-BF16. */
MUST_CHECK enum status kernels_use_bf16(struct kernels *kernels, struct error *error);

/* Makes `matmul` OpenBLAS', pinned to one thread and to the kernel family of the level (Haswell, SkylakeX); the profile
 * then names library, version and family, since the bits are theirs. Attention keeps our own products. STATUS_INPUT at
 * the reference level; STATUS_INTERNAL if the library is missing or does not obey. */
MUST_CHECK enum status kernels_use_openblas(struct kernels *kernels, struct error *error);

/* Bytes of shape.kept for N rows, H heads and a longest sequence of T rows. */
int64_t kernels_attention_kept(int64_t n, int64_t heads, int64_t longest_sequence);

/* Table of relative positions: row p (of n) holds position x = first - p, not beyond `clamp` either way (0: any), as
 * [sin(x f_i), i < C/2; cos(x f_i)] with f_i = 10000^(-2i/C), the same bits on every machine. |x| below 2^18,
 * C even. */
void kernels_sinusoids(float *out /* (n, C) */, int64_t first, int64_t clamp, int64_t n, int64_t c);

/* Puts the parts of each row together, in ascending order: wholes (count) from parts (part_count, count). Adds to
 * *loss_sum and *correct as softmax_cross_entropy. */
void kernels_softmax_join(struct kernels_softmax_part *wholes,
                          const struct kernels_softmax_part *parts, int64_t part_count,
                          const int32_t *targets, double *loss_sum, int64_t *correct,
                          int64_t count);

/* LAMB's trust ratio |w| / |r| from the sums of squares; 1 where either is 0. */
double kernels_trust_ratio(double weights_square_sum, double direction_square_sum);

/* Dropout settings of a rate in [0, 1). */
struct kernels_dropout kernels_dropout_make(double rate, struct random_key key, uint64_t site);

#endif
