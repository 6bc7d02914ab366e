/* See token_filter.h. */
#include "tasks/token_filter.h"

#include <math.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"

void token_filter_init(struct token_filter *filter, int64_t v)
{
    INVARIANT(v >= 1 && v <= INT32_MAX);
    *filter = (struct token_filter){
        .v = v,
        .ids = memory_take((size_t)v, sizeof *filter->ids, "token order"),
        .known = memory_take((size_t)v, sizeof *filter->known, "tokens of the history"),
    };
}

void token_filter_deinit(struct token_filter *filter)
{
    memory_release(filter->known);
    memory_release(filter->ids);
    *filter = (struct token_filter){0};
}

/* Whether token a comes before token b. */
static bool token_before(const float *logits, int32_t a, int32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

/* Moves the token at `place` of a heap of `count` down to where it belongs. */
static void heap_sift(int32_t *ids, const float *logits, int64_t place, int64_t count)
{
    const int32_t id = ids[place];
    for (int64_t child = 2 * place + 1; child < count; child = 2 * place + 1) {
        if (child + 1 < count && token_before(logits, ids[child + 1], ids[child])) {
            child++;
        }
        if (!token_before(logits, ids[child], id)) {
            break;
        }
        ids[place] = ids[child];
        place = child;
    }
    ids[place] = id;
}

static void heap_make(struct token_filter *filter, const float *logits)
{
    for (int64_t i = 0; i < filter->v; i++) {
        filter->ids[i] = (int32_t)i;
    }
    for (int64_t place = filter->v / 2 - 1; place >= 0; place--) {
        heap_sift(filter->ids, logits, place, filter->v);
    }
}

/* Takes the first token out of a heap of `count`; it goes behind what is left. */
static int32_t heap_take(int32_t *ids, const float *logits, int64_t count)
{
    const int32_t first = ids[0];
    ids[0] = ids[count - 1];
    ids[count - 1] = first;
    heap_sift(ids, logits, 0, count - 1);
    return first;
}

/* Removes the tokens that are still in the heap. */
static void heap_remove(const struct token_filter *filter, float *logits, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        logits[filter->ids[i]] = -INFINITY;
    }
}

void token_filter_repetition(struct token_filter *filter, float *logits, const int32_t *history,
                             int64_t count, double penalty)
{
    INVARIANT(penalty > 0.0);
    for (int64_t i = 0; i < count; i++) {
        const int32_t id = history[i];
        INVARIANT(id >= 0 && id < filter->v);
        if (filter->known[id] == 0) {
            const double logit = (double)logits[id];
            logits[id] = (float)(logit > 0.0 ? logit / penalty : logit * penalty);
            filter->known[id] = 1;
        }
    }
    for (int64_t i = 0; i < count; i++) {
        filter->known[history[i]] = 0;
    }
}

void token_filter_temperature(const struct token_filter *filter, float *logits, double temperature)
{
    INVARIANT(temperature > 0.0);
    for (int64_t i = 0; i < filter->v; i++) {
        logits[i] = (float)((double)logits[i] / temperature);
    }
}

void token_filter_top_k(struct token_filter *filter, float *logits, int64_t k)
{
    INVARIANT(k >= 1);
    if (k >= filter->v) {
        return;
    }
    heap_make(filter, logits);
    for (int64_t taken = 0; taken < k; taken++) {
        (void)heap_take(filter->ids, logits, filter->v - taken);
    }
    heap_remove(filter, logits, filter->v - k);
}

/* Σ exp(logit - most), ascending ids. */
static double exp_sum(const struct token_filter *filter, const float *logits, double most)
{
    double sum = 0;
    for (int64_t i = 0; i < filter->v; i++) {
        sum += exp((double)logits[i] - most);
    }
    return sum;
}

void token_filter_top_p(struct token_filter *filter, float *logits, double p)
{
    INVARIANT(p > 0.0 && p <= 1.0);
    if (p == 1.0) {
        return;
    }
    heap_make(filter, logits);
    const double most = (double)logits[filter->ids[0]];
    const double wanted = p * exp_sum(filter, logits, most);
    double sum = 0;
    int64_t left = filter->v;
    while (left > 0 && sum < wanted) {
        sum += exp((double)logits[heap_take(filter->ids, logits, left)] - most);
        left--;
    }
    heap_remove(filter, logits, left);
}

void token_filter_apply(struct token_filter *filter, float *logits, const int32_t *history,
                        int64_t count, const struct token_filter_options *options)
{
    if (options->repetition_penalty != 1.0) {
        token_filter_repetition(filter, logits, history, count, options->repetition_penalty);
    }
    if (options->temperature != 1.0) {
        token_filter_temperature(filter, logits, options->temperature);
    }
    if (options->top_k != 0) {
        token_filter_top_k(filter, logits, options->top_k);
    }
    token_filter_top_p(filter, logits, options->top_p);
}

int32_t token_filter_best(const struct token_filter *filter, const float *logits)
{
    int32_t best = 0;
    for (int32_t id = 1; id < filter->v; id++) {
        best = token_before(logits, id, best) ? id : best;
    }
    return best;
}

int32_t token_filter_draw(const struct token_filter *filter, const float *logits, double unit)
{
    INVARIANT(unit >= 0.0 && unit < 1.0);
    const double most = (double)logits[token_filter_best(filter, logits)];
    const double wanted = unit * exp_sum(filter, logits, most);
    double sum = 0;
    int32_t last = 0; /* with a share, should rounding leave `wanted` unreached */
    for (int32_t id = 0; id < filter->v; id++) {
        const double share = exp((double)logits[id] - most);
        sum += share;
        last = share > 0.0 ? id : last;
        if (sum > wanted) {
            return id;
        }
    }
    return last;
}
