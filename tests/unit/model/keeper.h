/* A parameter gate for tests: the weights of a group are there only while it is held, and NaN
 * otherwise. */
#ifndef SHARDLM_TESTS_UNIT_MODEL_KEEPER_H
#define SHARDLM_TESTS_UNIT_MODEL_KEEPER_H

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "model/parameter_gate.h"
#include "tests/support/suite.h"

struct keeper {
    const struct parameter_table *table;
    const float *whole; /* where weights are kept */
    float *weights;     /* those that a pass may read */
    int64_t held[16];
    int64_t held_most;
    struct parameter_gate gate;
};

static inline void keeper_ahead(void *context, int64_t group)
{
    const struct keeper *const keeper = context;
    ck_assert_int_lt(group, keeper->table->group_count);
}

static inline void keeper_hold(void *context, int64_t group)
{
    struct keeper *const keeper = context;
    const struct parameter_group *const row = &keeper->table->groups[group];
    int64_t all = 0;
    ck_assert_int_eq(keeper->held[group]++, 0);
    for (int64_t g = 0; g < keeper->table->group_count; g++) {
        all += keeper->held[g];
    }
    keeper->held_most = all > keeper->held_most ? all : keeper->held_most;
    memcpy(keeper->weights + row->offset, keeper->whole + row->offset,
           (size_t)row->count * sizeof(float));
}

static inline void keeper_drop(void *context, int64_t group)
{
    struct keeper *const keeper = context;
    const struct parameter_group *const row = &keeper->table->groups[group];
    ck_assert_int_eq(keeper->held[group]--, 1);
    for (int64_t i = 0; i < row->count; i++) {
        keeper->weights[row->offset + i] = NAN;
    }
}

static inline void keeper_open(struct keeper *keeper, const struct parameter_table *table,
                               const float *whole)
{
    *keeper = (struct keeper){.table = table, .whole = whole};
    keeper->gate = (struct parameter_gate){keeper_ahead, keeper_hold, keeper_drop, keeper};
    keeper->weights = memory_take((size_t)table->element_count, sizeof *keeper->weights, "test");
    for (int64_t i = 0; i < table->element_count; i++) {
        keeper->weights[i] = NAN;
    }
}

/* Nothing is held any more. */
static inline void keeper_close(struct keeper *keeper)
{
    for (int64_t group = 0; group < keeper->table->group_count; group++) {
        ck_assert_int_eq(keeper->held[group], 0);
    }
    memory_release(keeper->weights);
}

#endif
