/* See rounds.h. */
#include "shard/rounds.h"

#include "base/memory.h"

/* The lowest section that adds to each group decides its turns. Collective. */
static enum status turns_agree(struct rounds *rounds, const struct topology *topology,
                               const bool *adds, struct error *error)
{
    for (int64_t group = 0; group < rounds->group_count; group++) {
        rounds->late[group] = adds[group] ? topology->section_index : topology->section_count;
        rounds->ahead[group] = adds[group] ? topology->section_index : ROUNDS_NOTHING;
    }
    TRY(fabric_least(topology->workers, rounds->late, rounds->group_count, error));
    for (int64_t group = 0; group < rounds->group_count; group++) {
        const int64_t lowest = rounds->late[group];
        INVARIANT(lowest < topology->section_count); /* and lower groups come later: */
        INVARIANT(group == 0 || lowest >= topology->section_count - 1 - rounds->late[group - 1]);
        rounds->late[group] = topology->section_count - 1 - lowest;
        rounds->ahead[group] -= rounds->ahead[group] == ROUNDS_NOTHING ? 0 : lowest;
    }
    return STATUS_OK;
}

enum status rounds_init(struct rounds *rounds, const struct topology *topology,
                        const struct parameter_table *table, const bool *adds, int64_t slots,
                        struct error *error)
{
    const int64_t teams = topology->team_count;
    const size_t groups = (size_t)table->group_count;
    const size_t workers = (size_t)topology->local_count;
    *rounds = (struct rounds){
        .group_count = table->group_count,
        .count = (slots + teams - 1) / teams,
        .late = memory_take(groups, sizeof *rounds->late, "rounds"),
        .ahead = memory_take(groups, sizeof *rounds->ahead, "rounds"),
        .worker_count = topology->local_count,
        .worker_slots = memory_take(workers, sizeof *rounds->worker_slots, "rounds"),
        .worker_ahead = memory_take(workers * groups, sizeof *rounds->worker_ahead, "rounds"),
    };
    TRY(turns_agree(rounds, topology, adds, error));
    const int64_t own_slots = slots / teams + (topology->team_index < slots % teams ? 1 : 0);
    TRY(fabric_gather_all(topology->node, &own_slots, rounds->worker_slots, sizeof own_slots,
                          error));
    return fabric_gather_all(topology->node, rounds->ahead, rounds->worker_ahead,
                             groups * sizeof *rounds->ahead, error);
}

void rounds_init_single(struct rounds *rounds, int64_t group_count)
{
    const size_t groups = (size_t)group_count;
    *rounds = (struct rounds){.group_count = group_count,
                              .count = 1,
                              .late = memory_take(groups, sizeof *rounds->late, "rounds"),
                              .ahead = memory_take(groups, sizeof *rounds->ahead, "rounds")};
}

void rounds_deinit(struct rounds *rounds)
{
    memory_release(rounds->late);
    memory_release(rounds->ahead);
    memory_release(rounds->worker_slots);
    memory_release(rounds->worker_ahead);
    *rounds = (struct rounds){0};
}

int64_t rounds_at(const struct rounds *rounds, const struct rounds_place *place)
{
    return place->turn - rounds->late[place->group];
}

bool rounds_over(const struct rounds *rounds, const struct rounds_place *place)
{
    return place->number == rounds->group_count * rounds->count;
}

static void group_next(const struct rounds *rounds, struct rounds_place *place)
{
    place->turn += place->group == 0 ? 1 : 0;
    place->group = (place->group == 0 ? rounds->group_count : place->group) - 1;
}

/* On to a group that has a round in its turn. */
static void place_find(const struct rounds *rounds, struct rounds_place *place)
{
    while (!rounds_over(rounds, place) &&
           (rounds_at(rounds, place) < 0 || rounds_at(rounds, place) >= rounds->count)) {
        group_next(rounds, place);
    }
}

struct rounds_place rounds_first(const struct rounds *rounds)
{
    struct rounds_place place = {.group = rounds->group_count - 1};
    place_find(rounds, &place);
    return place;
}

void rounds_next(const struct rounds *rounds, struct rounds_place *place)
{
    place->number++;
    group_next(rounds, place);
    place_find(rounds, place);
}

int64_t rounds_of_gradient(const struct rounds *rounds, int64_t group, int64_t added)
{
    const int64_t round = added - rounds->ahead[group];
    return round > 0 ? round : 0;
}

int64_t rounds_wanted(const struct rounds *rounds, int64_t group, int64_t round)
{
    int64_t wanted = 0;
    for (int64_t worker = 0; round >= 0 && worker < rounds->worker_count; worker++) {
        const int64_t ahead = rounds->worker_ahead[worker * rounds->group_count + group];
        const int64_t through = round + 1 + ahead;
        const int64_t slots = rounds->worker_slots[worker];
        wanted += ahead == ROUNDS_NOTHING ? 0 : through < slots ? through : slots;
    }
    return wanted;
}
