#!/usr/bin/env bash
# The data plane over 1, 2 and 5 real ranks. $2: the program fabric_ranks.
set -euo pipefail
words=(--oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none)
[ "$(id -u)" -ne 0 ] || words+=(--allow-run-as-root)
for ranks in 1 2 5; do
    mpirun "${words[@]}" -n $ranks "$2" >/dev/null || {
        echo "FAILED on $ranks ranks" >&2
        mpirun "${words[@]}" -n $ranks "$2" >&2 || true
        exit 1
    }
    echo "collectives, topology and windows hold on $ranks ranks"
done
