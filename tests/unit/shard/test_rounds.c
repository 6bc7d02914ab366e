/* shard/rounds: every shape of teams, sections and nodes comes to the end of its step under the
 * waits of worker/pipeline.c and shard/accumulator.c, no gradient comes while its sums are under
 * way, and all are in the sums. Workers are played one event at a time; what one may do, nothing
 * that another does takes away, so that a game that ends early would end so in any order. */
#include "shard/rounds.h"

#include <string.h>

#include "shard/accumulator.h"
#include "tests/support/suite.h"

enum { GROUPS = 8, SECTIONS_MAX = 5, TEAMS_MAX = 3, WORKERS_MAX = SECTIONS_MAX * TEAMS_MAX };
enum { NODES_MAX = 4, SLOTS_MAX = 9, HEAD = GROUPS - 1, EMBEDDINGS = 0, LAYERS = GROUPS - 2 };

struct player {
    int64_t team, section, node;
    int64_t slots;
    int64_t forwards, backwards;
    int64_t handed; /* groups of the backward in hand */
    int64_t added[GROUPS];
    int64_t ahead[GROUPS];
    struct rounds rounds;
};

struct game {
    int64_t sections, teams, nodes, workers, slots;
    struct player players[WORKERS_MAX];
    int64_t late[GROUPS];
    /* of each node */
    int64_t worker_slots[NODES_MAX][WORKERS_MAX];
    int64_t worker_ahead[NODES_MAX][WORKERS_MAX * GROUPS];
    int64_t worker_count[NODES_MAX];
    int64_t added[NODES_MAX][GROUPS];
    struct rounds_place begun[NODES_MAX], done[NODES_MAX];
    int64_t rounds_begun[NODES_MAX][GROUPS], rounds_done[NODES_MAX][GROUPS];
};

static bool has_group(const struct game *game, int64_t section, int64_t group)
{
    const bool first = section == 0;
    const bool last = section == game->sections - 1;
    if (group == HEAD || group == EMBEDDINGS) {
        return group == HEAD ? last : first || last;
    }
    return (group - 1) * game->sections / LAYERS == section;
}

/* In the order in which the section hands them over; -1: no more. */
static int64_t group_handed(const struct game *game, int64_t section, int64_t number)
{
    const bool early = section > 0 && section == game->sections - 1; /* embeddings after the head */
    const int64_t order[] = {HEAD, early ? EMBEDDINGS : -1};
    int64_t count = 0;
    for (int64_t i = 0; i < GROUPS + 1; i++) {
        const int64_t group = i < 2 ? order[i] : HEAD + 1 - i;
        const bool skipped = group < 0 || (group == EMBEDDINGS && early && i > 1);
        if (!skipped && has_group(game, section, group) && count++ == number) {
            return group;
        }
    }
    return -1;
}

static void game_open(struct game *game, int64_t sections, int64_t teams, int64_t nodes,
                      int64_t slots)
{
    memset(game, 0, sizeof *game);
    game->sections = sections;
    game->teams = teams;
    game->nodes = nodes;
    game->workers = sections * teams;
    game->slots = slots;
    for (int64_t group = 0; group < GROUPS; group++) {
        int64_t lowest = 0;
        while (!has_group(game, lowest, group)) {
            lowest++;
        }
        game->late[group] = sections - 1 - lowest;
    }
    for (int64_t w = 0; w < game->workers; w++) {
        struct player *const player = &game->players[w];
        player->team = w / sections;
        player->section = w % sections;
        player->node = w * nodes / game->workers;
        player->slots = slots / teams + (player->team < slots % teams ? 1 : 0);
        const int64_t local = game->worker_count[player->node]++;
        game->worker_slots[player->node][local] = player->slots;
        for (int64_t group = 0; group < GROUPS; group++) {
            player->ahead[group] = has_group(game, player->section, group)
                                       ? player->section - (sections - 1 - game->late[group])
                                       : ROUNDS_NOTHING;
            game->worker_ahead[player->node][local * GROUPS + group] = player->ahead[group];
        }
    }
    for (int64_t w = 0; w < game->workers; w++) {
        struct player *const player = &game->players[w];
        player->rounds = (struct rounds){.group_count = GROUPS,
                                         .count = (slots + teams - 1) / teams,
                                         .late = game->late,
                                         .ahead = player->ahead,
                                         .worker_count = game->worker_count[player->node],
                                         .worker_slots = game->worker_slots[player->node],
                                         .worker_ahead = game->worker_ahead[player->node]};
        game->begun[player->node] = rounds_first(&player->rounds);
        game->done[player->node] = game->begun[player->node];
    }
}

static const struct rounds *node_rounds(const struct game *game, int64_t node)
{
    int64_t w = 0;
    while (game->players[w].node != node) {
        w++;
    }
    return &game->players[w].rounds;
}

/* A state is received when the section has room for it and has taken the one before. */
static bool state_expected(const struct player *player, int64_t sections, int64_t slot)
{
    return player->forwards >= slot && slot - player->backwards < sections - player->section;
}

static bool forward_can(const struct game *game, const struct player *player)
{
    const int64_t slot = player->forwards;
    if (slot == player->slots || slot - player->backwards >= game->sections - player->section) {
        return false;
    }
    return (player->section == 0 || player[-1].forwards > slot) &&
           (player->section == game->sections - 1 || slot == 0 ||
            state_expected(player + 1, game->sections, slot - 1));
}

static bool backward_can(const struct game *game, const struct player *player)
{
    const int64_t slot = player->backwards;
    const struct player *const first = player - player->section;
    const bool last = player->section == game->sections - 1;
    if (player->forwards == slot || (player->forwards < player->slots &&
                                     player->forwards - slot < game->sections - player->section)) {
        return false; /* forward comes first */
    }
    return (last || player[1].backwards > slot) &&
           (player->section > 0 || first[game->sections - 1].backwards > slot || last) &&
           (player->section == 0 || player[-1].backwards + 1 >= slot) &&
           (!last || player->section == 0 || first->backwards + game->sections - 1 >= slot);
}

static bool room_is(const struct game *game, const struct player *player, int64_t group)
{
    const int64_t *const done = game->rounds_done[player->node];
    const int64_t round = rounds_of_gradient(&player->rounds, group, player->added[group]);
    const int64_t before = group + ACCUMULATOR_RING;
    return done[group] >= round &&
           (before >= GROUPS || player->ahead[group] > 0 || done[before] > round);
}

static bool player_move(struct game *game, struct player *player)
{
    if (player->handed == 0 && forward_can(game, player)) {
        player->forwards++;
        return true;
    }
    const int64_t group = group_handed(game, player->section, player->handed);
    if (player->handed == 0 && !backward_can(game, player)) {
        return false;
    }
    if (group < 0) {
        player->backwards++;
        player->handed = 0;
        return true;
    }
    if (!room_is(game, player, group)) {
        return false;
    }
    const int64_t round = rounds_of_gradient(&player->rounds, group, player->added[group]);
    ck_assert_int_eq(game->rounds_begun[player->node][group], round); /* and none is under way */
    ck_assert_int_eq(game->rounds_done[player->node][group], round);
    player->added[group]++;
    player->handed++;
    game->added[player->node][group]++;
    return true;
}

static bool node_move(struct game *game, int64_t node)
{
    const struct rounds *const rounds = node_rounds(game, node);
    struct rounds_place *const begun = &game->begun[node];
    struct rounds_place *const done = &game->done[node];
    bool all = done->number < begun->number;
    for (int64_t other = 0; other < game->nodes; other++) {
        all &= game->begun[other].number > done->number;
    }
    if (all) {
        game->rounds_done[node][done->group]++;
        rounds_next(rounds, done);
        return true;
    }
    if (rounds_over(rounds, begun) || begun->number - done->number > ACCUMULATOR_RING ||
        game->rounds_begun[node][begun->group] > game->rounds_done[node][begun->group] ||
        game->added[node][begun->group] <
            rounds_wanted(rounds, begun->group, rounds_at(rounds, begun))) {
        return false;
    }
    ck_assert_int_eq(rounds_at(rounds, begun), game->rounds_begun[node][begun->group]);
    game->rounds_begun[node][begun->group]++;
    rounds_next(rounds, begun);
    return true;
}

/* Whether everybody comes to the end of the step. */
static bool game_play(struct game *game)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int64_t w = 0; w < game->workers; w++) {
            moved |= player_move(game, &game->players[w]);
        }
        for (int64_t node = 0; node < game->nodes; node++) {
            moved |= node_move(game, node);
        }
    }
    bool ended = true;
    for (int64_t w = 0; w < game->workers; w++) {
        ended &= game->players[w].backwards == game->players[w].slots;
    }
    for (int64_t node = 0; node < game->nodes; node++) {
        ended &= rounds_over(node_rounds(game, node), &game->done[node]);
    }
    return ended;
}

/* Of all nodes: each slot once, the embeddings' twice where two sections have them. */
static void gradients_check(const struct game *game)
{
    for (int64_t group = 0; group < GROUPS; group++) {
        int64_t added = 0;
        for (int64_t node = 0; node < game->nodes; node++) {
            added += game->added[node][group];
        }
        const int64_t times = group == EMBEDDINGS && game->sections > 1 ? 2 : 1;
        ck_assert_int_eq(added, times * game->slots);
    }
}

START_TEST(test_rounds_come_to_an_end_in_every_shape)
{
    for (int64_t sections = 1; sections <= SECTIONS_MAX; sections++) {
        for (int64_t teams = 1; teams <= TEAMS_MAX; teams++) {
            for (int64_t nodes = 1; nodes <= NODES_MAX && nodes <= sections * teams; nodes++) {
                for (int64_t slots = 1; slots <= SLOTS_MAX; slots++) {
                    struct game game;
                    game_open(&game, sections, teams, nodes, slots);
                    ck_assert_msg(
                        game_play(&game), "%lld sections, %lld teams, %lld nodes, %lld slots",
                        (long long)sections, (long long)teams, (long long)nodes, (long long)slots);
                    gradients_check(&game);
                }
            }
        }
    }
}
END_TEST

START_TEST(test_rounds_check_would_notice_an_order_that_sections_cannot_keep)
{
    struct game game;
    game_open(&game, 3, 1, 2, SLOTS_MAX);
    memset(game.late, 0, sizeof game.late); /* round by round */
    ck_assert(!game_play(&game));
}
END_TEST

START_TEST(test_rounds_go_section_behind_section)
{
    struct game game;
    game_open(&game, 3, 2, 1, 4);
    const struct rounds *const rounds = &game.players[0].rounds;
    int64_t seen[GROUPS] = {0};
    int64_t turn = 0;
    struct rounds_place place = rounds_first(rounds);
    for (; !rounds_over(rounds, &place); rounds_next(rounds, &place)) {
        ck_assert_int_ge(place.turn, turn);
        turn = place.turn;
        ck_assert_int_eq(rounds_at(rounds, &place), seen[place.group]++);
    }
    for (int64_t group = 0; group < GROUPS; group++) {
        ck_assert_int_eq(seen[group], 2);
    }
    ck_assert_int_eq(turn, 3); /* of rounds 0 and 1, two turns late */
    /* What the last section adds of the embeddings in its three first rounds goes with the first.
     */
    ck_assert_int_eq(rounds_of_gradient(&game.players[2].rounds, EMBEDDINGS, 2), 0);
    ck_assert_int_eq(rounds_of_gradient(&game.players[2].rounds, EMBEDDINGS, 3), 1);
    ck_assert_int_eq(rounds_wanted(rounds, EMBEDDINGS, 0), 2 + 4);
    ck_assert_int_eq(rounds_wanted(rounds, HEAD, 0), 2);
    ck_assert_int_eq(rounds_wanted(rounds, HEAD, -1), 0);
}
END_TEST

int main(void)
{
    return suite_run(
        "rounds",
        (const TTest *[]){test_rounds_come_to_an_end_in_every_shape,
                          test_rounds_check_would_notice_an_order_that_sections_cannot_keep,
                          test_rounds_go_section_behind_section, NULL});
}
