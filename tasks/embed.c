/* See embed.h. */
#include "tasks/embed.h"

#include <math.h>

static float element_pool(const float *hidden, int64_t n, int64_t c,
                          const struct embed_options *options)
{
    double sum = 0;
    float most = hidden[0];
    for (int64_t i = 0; i < n; i++) {
        sum += (double)hidden[i * c];
        most = hidden[i * c] > most ? hidden[i * c] : most;
    }
    switch (options->pooling) {
    case EMBED_POOLING_CLS:
        return options->class_last ? hidden[(n - 1) * c] : hidden[0];
    case EMBED_POOLING_MAX:
        return most;
    case EMBED_POOLING_MEAN:
    default:
        return (float)(sum / (double)n);
    }
}

void embed_pool(float *vector, const float *hidden, int64_t n, int64_t c,
                const struct embed_options *options)
{
    double squares = 0;
    for (int64_t j = 0; j < c; j++) {
        vector[j] = element_pool(hidden + j, n, c, options);
        squares += (double)vector[j] * (double)vector[j];
    }
    for (int64_t j = 0; options->normalise && squares > 0 && j < c; j++) {
        vector[j] = (float)((double)vector[j] / sqrt(squares));
    }
}
