/* Included before everything else in the sources that share memory between processes: each of their
 * atomic operations is a point at which another process may get on, or this one die. */
#ifndef SHARDLM_TESTS_SIMULATION_ATOMIC_POINTS_H
#define SHARDLM_TESTS_SIMULATION_ATOMIC_POINTS_H

#include <stdatomic.h>
#include <string.h>

#include "tests/simulation/machine.h"

#undef atomic_store
#undef atomic_load
#undef atomic_fetch_add
#define atomic_store(place, value)                                                                 \
    (machine_point("store " #place), atomic_store_explicit((place), (value), memory_order_seq_cst))
#define atomic_load(place)                                                                         \
    (machine_point("load " #place), atomic_load_explicit((place), memory_order_seq_cst))
#define atomic_fetch_add(place, value)                                                             \
    (machine_point("add " #place),                                                                 \
     atomic_fetch_add_explicit((place), (value), memory_order_seq_cst))

#endif
