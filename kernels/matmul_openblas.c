/* See matmul_openblas.h. */
#include "kernels/matmul_openblas.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/operations.h"

/* cblas.h's enum values; its header is not needed to call the library. */
enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANSPOSE = 111, CBLAS_TRANSPOSE = 112 };

typedef void (*sgemm_function)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

/* Set once by matmul_openblas_open: a function of the table takes no context, and the library is
 * one per process. */
static sgemm_function sgemm;

static const char library_name[] = "libopenblas.so.0";

/* POSIX gives functions as data pointers; copying the bytes is the conversion that C allows. */
static enum status symbol_find(void *library, const char *name, void *function, struct error *error)
{
    void *const symbol = dlsym(library, name);
    if (symbol == NULL) {
        FAIL(error, STATUS_INTERNAL, "%s has no function %s", library_name, name);
    }
    memcpy(function, &symbol, sizeof symbol);
    return STATUS_OK;
}

/* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..." becomes "0.3.21". */
static void version_copy(char *version, size_t version_bytes, const char *config)
{
    const char *const space = strchr(config, ' ');
    const char *const start = space == NULL ? config : space + 1;
    const int length = (int)strcspn(start, " ");
    (void)snprintf(version, version_bytes, "%.*s", length, start);
}

enum status matmul_openblas_open(const char *family, char *profile, size_t profile_bytes,
                                 struct error *error)
{
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    const bool was_loaded = library != NULL;
    if (!was_loaded) {
        if (setenv("OPENBLAS_NUM_THREADS", "1", 1) != 0 || setenv("OMP_NUM_THREADS", "1", 1) != 0 ||
            setenv("OPENBLAS_CORETYPE", family, 1) != 0) {
            FAIL(error, STATUS_INTERNAL, "could not set the environment of OpenBLAS");
        }
        library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        const char *const reason = dlerror();
        FAIL(error, STATUS_INTERNAL, "could not load OpenBLAS: %s",
             reason == NULL ? "no reason given" : reason);
    }
    char *(*config)(void) = NULL;
    char *(*core_name)(void) = NULL;
    void (*threads_set)(int) = NULL;
    int (*threads)(void) = NULL;
    sgemm_function product = NULL;
    TRY(symbol_find(library, "openblas_get_config", &config, error));
    TRY(symbol_find(library, "openblas_get_corename", &core_name, error));
    TRY(symbol_find(library, "openblas_set_num_threads", &threads_set, error));
    TRY(symbol_find(library, "openblas_get_num_threads", &threads, error));
    TRY(symbol_find(library, "cblas_sgemm", &product, error));
    threads_set(1);
    if (threads() != 1) {
        FAIL(error, STATUS_INTERNAL, "OpenBLAS insists on %d threads, one is needed", threads());
    }
    if (strcasecmp(core_name(), family) != 0) {
        FAIL(error, STATUS_INTERNAL, "OpenBLAS runs kernel family \"%s\" where \"%s\" is needed%s",
             core_name(), family,
             was_loaded ? ": it was loaded before this process chose its kernels"
                        : ": it does not obey OPENBLAS_CORETYPE");
    }
    char version[64];
    version_copy(version, sizeof version, config());
    (void)snprintf(profile, profile_bytes, "openblas %s %s", version, family);
    sgemm = product;
    return STATUS_OK;
}

static int blas_dim(int64_t size)
{
    INVARIANT(size >= 0 && size <= INT_MAX);
    return (int)size;
}

static int blas_transposed(struct kernels_matrix matrix)
{
    return matrix.transposed ? CBLAS_TRANSPOSE : CBLAS_NO_TRANSPOSE;
}

void matmul_openblas(int64_t m, int64_t n, int64_t k, float alpha, struct kernels_matrix a,
                     struct kernels_matrix b, float beta, float *c, int64_t ldc)
{
    if (m == 0 || n == 0) {
        return;
    }
    sgemm(CBLAS_ROW_MAJOR, blas_transposed(a), blas_transposed(b), blas_dim(m), blas_dim(n),
          blas_dim(k), alpha, a.values, blas_dim(a.ld), b.values, blas_dim(b.ld), beta, c,
          blas_dim(ldc));
}
