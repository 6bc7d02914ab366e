/* Where the coordinator can be reached. A host's name may stand for its loopback address (Debian
 * writes 127.0.1.1) or for nothing on the other hosts, and an address such as a container bridge's
 * 172.17.0.1 may exist on every host: so no address is believed before all ranks have reached rank
 * 0 there and heard its secret number. */
#ifndef SHARDLM_LAUNCH_ADDRESS_H
#define SHARDLM_LAUNCH_ADDRESS_H

#include "shard/fabric.h"

enum {
    ADDRESS_BYTES = 16,      /* IPv4, dotted */
    ADDRESS_COUNT_MAX = 16,  /* of one host */
    ADDRESS_PROBE_MS = 5000, /* all addresses of rank 0 are tried at once for so long */
};

/* The first address of rank 0's host at which every rank reaches rank 0; the loopback address when
 * all share one host. STATUS_PEER lists what was tried. Collective over `world`. */
MUST_CHECK enum status address_choose(struct fabric_group *world, const char *own_host,
                                      char address[ADDRESS_BYTES], struct error *error);

#endif
