/* See kernels.h. */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/matmul_openblas.h"
#include "kernels/operations.h"

#define TABLE_ENTRY(name, level) .name = name##_##level,

static const struct kernels tables[] = {
    [KERNELS_LEVEL_REFERENCE] = {.level = KERNELS_LEVEL_REFERENCE,
                                 KERNELS_OPERATIONS(TABLE_ENTRY, reference)},
    [KERNELS_LEVEL_AVX2] = {.level = KERNELS_LEVEL_AVX2, KERNELS_OPERATIONS(TABLE_ENTRY, avx2)},
    [KERNELS_LEVEL_AVX512] = {.level = KERNELS_LEVEL_AVX512,
                              KERNELS_OPERATIONS(TABLE_ENTRY, avx512)},
};

static bool level_runs(enum kernels_level level)
{
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    switch (level) {
    case KERNELS_LEVEL_REFERENCE:
        return true;
    case KERNELS_LEVEL_AVX2:
        return v3;
    case KERNELS_LEVEL_AVX512:
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    }
    return false;
}

enum kernels_level kernels_level_best(void)
{
    if (level_runs(KERNELS_LEVEL_AVX512)) {
        return KERNELS_LEVEL_AVX512;
    }
    return level_runs(KERNELS_LEVEL_AVX2) ? KERNELS_LEVEL_AVX2 : KERNELS_LEVEL_REFERENCE;
}

const char *kernels_level_name(enum kernels_level level)
{
    switch (level) {
    case KERNELS_LEVEL_REFERENCE:
        return "reference";
    case KERNELS_LEVEL_AVX2:
        return "avx2";
    case KERNELS_LEVEL_AVX512:
        return "avx512";
    }
    return "unknown";
}

enum status kernels_open(struct kernels *kernels, enum kernels_level level, struct error *error)
{
    if (!level_runs(level)) {
        FAIL(error, STATUS_INPUT, "this processor does not run vector level \"%s\"",
             kernels_level_name(level));
    }
    *kernels = tables[level];
    (void)snprintf(kernels->profile, sizeof kernels->profile, "kernels %d%s", KERNELS_VERSION,
                   level == KERNELS_LEVEL_REFERENCE ? " reference" : "");
    return STATUS_OK;
}

enum status kernels_use_bf16(struct kernels *kernels, struct error *error)
{
    switch (kernels->level) {
    case KERNELS_LEVEL_REFERENCE:
        kernels->matmul = matmul_bf16_reference;
        kernels->round = round_bf16_reference;
        break;
    case KERNELS_LEVEL_AVX512:
        if (__builtin_cpu_supports("avx512bf16")) {
            kernels->matmul = matmul_bf16_avx512;
            kernels->round = round_bf16_avx512;
            kernels->attention_forward = attention_forward_bf16_avx512;
            kernels->attention_backward = attention_backward_bf16_avx512;
            break;
        }
        /* fall through */
    case KERNELS_LEVEL_AVX2:
        FAIL(error, STATUS_INPUT,
             "numerics.compute is bf16, which needs a processor with AVX512-BF16 and vector level "
             "avx512; %s",
             kernels->level == KERNELS_LEVEL_AVX512 ? "this processor has no AVX512-BF16"
                                                    : "the level of this job is avx2");
    }
    const size_t used = strlen(kernels->profile);
    (void)snprintf(kernels->profile + used, sizeof kernels->profile - used, " bf16");
    return STATUS_OK;
}

enum status kernels_use_openblas(struct kernels *kernels, struct error *error)
{
    if (kernels->level == KERNELS_LEVEL_REFERENCE) {
        FAIL(error, STATUS_INPUT,
             "numerics.products is openblas, which needs a processor with AVX2; this job computes "
             "with the reference kernels");
    }
    char product[KERNELS_PROFILE_BYTES / 2];
    TRY(matmul_openblas_open(kernels->level == KERNELS_LEVEL_AVX512 ? "SkylakeX" : "Haswell",
                             product, sizeof product, error));
    kernels->matmul = matmul_openblas;
    const size_t used = strlen(kernels->profile);
    (void)snprintf(kernels->profile + used, sizeof kernels->profile - used, " %s", product);
    return STATUS_OK;
}

double kernels_trust_ratio(double weights_square_sum, double direction_square_sum)
{
    if (weights_square_sum == 0.0 || direction_square_sum == 0.0) {
        return 1.0;
    }
    return sqrt(weights_square_sum) / sqrt(direction_square_sum);
}

/* A query's bits are whole words of 64, as a level may write them. */
int64_t kernels_attention_kept(int64_t n, int64_t heads, int64_t longest_sequence)
{
    return n * heads * ((longest_sequence + 63) / 64 * 8);
}

struct kernels_dropout kernels_dropout_make(double rate, struct random_key key, uint64_t site)
{
    INVARIANT(rate >= 0.0 && rate < 1.0);
    const double rounded = round(rate * 65536.0);
    const uint32_t threshold = rounded > 65535.0 ? 65535U : (uint32_t)rounded;
    return (struct kernels_dropout){.key = key,
                                    .site = site,
                                    .threshold = threshold,
                                    .scale = 65536.0F / (float)(65536U - threshold)};
}
