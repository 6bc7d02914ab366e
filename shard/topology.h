/* Where the workers of a job are: nodes, places within a node, and the groups that follow. On a
 * node all workers share one memory; between nodes worker i of every node ("driver" i) moves slice
 * i. Nodes may hold different numbers of workers: there are as many drivers as the smallest node
 * has workers; others compute but own nothing. */
#ifndef SHARDLM_SHARD_TOPOLOGY_H
#define SHARDLM_SHARD_TOPOLOGY_H

#include "shard/fabric.h"

struct topology {
    struct fabric_group *workers; /* all workers */
    struct fabric_group *node;    /* workers of this node */
    struct fabric_group
        *slice; /* drivers with this one's local index, ordered by node; NULL if no driver */
    struct fabric_group *questions; /* all workers once more, for what weight_gate.h asks */
    struct fabric_group *weights;   /* and for the answers */
    int64_t worker_index, worker_count;
    int64_t node_index, node_count;
    int64_t local_index, local_count;
    int64_t driver_count;           /* per node */
    int64_t team_index, team_count; /* workers that compute the same slots are a team */
    int64_t section_index,
        section_count;                   /* what of the network this worker has (model/section.h) */
    struct fabric_group *pipeline;       /* of the team, by section; NULL if it has one */
    int64_t tensor_member, tensor_count; /* which tensor parts of it (model/parts.h) */
    struct fabric_group *tensor;         /* of the section, by parts; NULL if it has one member */
};

/* `simulate_nodes` > 0 cuts the workers into so many nodes regardless of hosts. Collective over
 * `workers`. */
MUST_CHECK enum status topology_init(struct topology *topology, struct fabric_group *workers,
                                     int64_t simulate_nodes, struct error *error);
/* Makes teams: sections of neighbours, each of `tensor_count` neighbours. Their product must divide
 * the workers: STATUS_INPUT. Without it each worker is a team. Collective over workers. */
MUST_CHECK enum status topology_team(struct topology *topology, int64_t section_count,
                                     int64_t tensor_count, struct error *error);
/* Whether so many workers can be shared out so; names the keys if not: STATUS_INPUT. */
MUST_CHECK enum status topology_team_check(int64_t worker_count, int64_t section_count,
                                           int64_t tensor_count, struct error *error);
int64_t topology_team_size(const struct topology *topology);
bool topology_leads_team(const struct topology *topology); /* its first worker */
bool topology_is_driver(const struct topology *topology);

#endif
