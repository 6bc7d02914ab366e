/* bench/matmul: our matrix products beside those of a BLAS library, at the shapes of a training
 * step (1,024 tokens a slot, 154 predictions, vocabulary 50,265). Prints GFLOP/s, the best of
 * several runs, one line a shape.
 *
 *     bench_matmul [LIBRARY]      libopenblas.so.0 unless told; its threads are set to one
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "kernels/kernels.h"

enum { TOKENS = 1024, PREDICTED = 154, VOCABULARY = 50265, SEQUENCE = 128, HEAD = 64 };
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

typedef void (*sgemm_function)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

struct shape {
    const char *name;
    bool transpose_a, transpose_b;
    int m, n, k;
};

struct space {
    float *a;
    float *b;
    float *c;
};

static void product(const struct kernels *kernels, sgemm_function sgemm, const struct shape *shape,
                    const struct space *space)
{
    const int lda = shape->transpose_a ? shape->m : shape->k;
    const int ldb = shape->transpose_b ? shape->k : shape->n;
    if (sgemm == NULL) {
        kernels->matmul(shape->m, shape->n, shape->k, 1.0F,
                        (struct kernels_matrix){space->a, lda, .transposed = shape->transpose_a},
                        (struct kernels_matrix){space->b, ldb, .transposed = shape->transpose_b},
                        0.0F, space->c, shape->n);
    } else {
        sgemm(ROW_MAJOR, shape->transpose_a ? TRANSPOSE : NO_TRANSPOSE,
              shape->transpose_b ? TRANSPOSE : NO_TRANSPOSE, shape->m, shape->n, shape->k, 1.0F,
              space->a, lda, space->b, ldb, 0.0F, space->c, shape->n);
    }
}

static double speed(const struct kernels *kernels, sgemm_function sgemm, const struct shape *shape,
                    const struct space *space)
{
    enum { ROUNDS_MIN = 3, ROUNDS_MAX = 200 };
    const double seconds_max = 0.1;
    int64_t best_ns = INT64_MAX;
    const int64_t start_ns = clock_now_ns();
    for (int i = 0;
         i < ROUNDS_MAX && (i < ROUNDS_MIN || clock_seconds_since(start_ns) < seconds_max); i++) {
        const int64_t round_ns = clock_now_ns();
        product(kernels, sgemm, shape, space);
        const int64_t taken_ns = clock_now_ns() - round_ns;
        best_ns = taken_ns < best_ns ? taken_ns : best_ns;
    }
    return 2.0 * shape->m * shape->n * shape->k / (double)best_ns;
}

/* NULL: not installed. */
static sgemm_function library_open(const char *name)
{
    void *const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    void *const symbol = library == NULL ? NULL : dlsym(library, "cblas_sgemm");
    sgemm_function sgemm = NULL;
    memcpy(&sgemm, &symbol, sizeof sgemm);
    return sgemm;
}

static float *floats_take(int64_t count)
{
    float *const values = memory_take((size_t)count, sizeof *values, "benchmark");
    for (int64_t i = 0; i < count; i++) {
        values[i] = (float)(i * 2654435761U % 1024) / 1024.0F - 0.5F;
    }
    return values;
}

static void width_print(const struct kernels *kernels, sgemm_function sgemm, int width)
{
    const struct shape shapes[] = {
        {"forward, query key value", false, true, TOKENS, 3 * width, width},
        {"forward, inner", false, true, TOKENS, 4 * width, width},
        {"forward, outer", false, true, TOKENS, width, 4 * width},
        {"gradient of input, inner", false, false, TOKENS, width, 4 * width},
        {"gradient of weights, inner", true, false, 4 * width, width, TOKENS},
        {"logits", false, true, PREDICTED, VOCABULARY, width},
        {"gradient of word table", true, false, VOCABULARY, width, PREDICTED},
        {"gradient of predicted rows", false, false, PREDICTED, width, VOCABULARY},
        {"attention, scores", false, true, SEQUENCE, SEQUENCE, HEAD},
        {"attention, values", false, false, SEQUENCE, HEAD, SEQUENCE},
    };
    const int64_t largest = (int64_t)VOCABULARY * (width > PREDICTED ? width : PREDICTED);
    const struct space space = {floats_take(largest), floats_take(largest), floats_take(largest)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        (void)printf("%4d  %-27s %7.1f", width, shapes[i].name,
                     speed(kernels, NULL, &shapes[i], &space));
        if (sgemm != NULL) {
            (void)printf(" %7.1f", speed(kernels, sgemm, &shapes[i], &space));
        }
        (void)printf("\n");
    }
    memory_release(space.a);
    memory_release(space.b);
    memory_release(space.c);
}

int main(int argument_count, char **arguments)
{
    struct kernels kernels;
    struct error error = {0};
    if (setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0 ||
        kernels_open(&kernels, kernels_level_best(), &error) != STATUS_OK) {
        (void)fprintf(stderr, "bench_matmul: %s\n", error.message);
        return 1;
    }
    const sgemm_function sgemm =
        library_open(argument_count > 1 ? arguments[1] : "libopenblas.so.0");
    (void)printf("width product, GFLOP/s of ours (%s)%s\n", kernels_level_name(kernels.level),
                 sgemm == NULL ? "" : " and of the library");
    const int widths[] = {128, 256, 512, 768};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        width_print(&kernels, sgemm, widths[i]);
    }
    return 0;
}
