#!/usr/bin/env bash
# Real nodes: each a network namespace with an address and a host name of its own, joined by a bridge. mpirun starts the
# processes over there through an agent in place of ssh, so nothing but the network connects them.
. "$(dirname "$0")/lib.sh" "$1"

if [ "$(id -u)" -ne 0 ] || ! ip netns add "shardlm-$$-probe" 2>/dev/null; then
    echo "SKIPPED: network namespaces need root and a kernel that allows them"
    exit 77
fi
ip netns del "shardlm-$$-probe"

nodes=3
space="shardlm-$$"
hub=$space-hub
networks_remove() {
    local i
    for ((i = 0; i < nodes; i++)); do
        ip netns pids "$space-$i" 2>/dev/null | xargs -r kill -9 || true
        ip netns del "$space-$i" 2>/dev/null || true
    done
    ip netns del "$hub" 2>/dev/null || true
}
trap 'networks_remove; rm -rf "$scratch"' EXIT

# Every node also has the address 172.17.0.1, as hosts with a container bridge do: it must not be taken for rank 0's.
ip netns add "$hub"
ip -n "$hub" link add bridge0 type bridge
ip -n "$hub" link set bridge0 up
for ((i = 0; i < nodes; i++)); do
    ip netns add "$space-$i"
    ip -n "$hub" link add "port$i" type veth peer name eth0 netns "$space-$i"
    ip -n "$hub" link set "port$i" master bridge0 up
    ip -n "$space-$i" link add docker0 type bridge
    ip -n "$space-$i" addr add 172.17.0.1/16 dev docker0
    ip -n "$space-$i" addr add "10.77.0.$((i + 1))/24" dev eth0
    for link in lo docker0 eth0; do ip -n "$space-$i" link set "$link" up; done
done
cat >agent <<'SH'
#!/usr/bin/env bash
# agent HOST COMMAND…: as ssh would.
index=$((${1##*.} - 1))
shift
exec ip netns exec "$AGENT_SPACE-$index" unshare --uts bash -c 'hostname "node$0"; exec bash -c "$1"' "$index" "$*"
SH
chmod +x agent
printf '10.77.0.%d slots=2\n' 1 2 3 >hosts
export AGENT_SPACE=$space OMPI_MCA_plm_rsh_agent=$scratch/agent OMPI_MCA_oob_tcp_if_include=eth0 OMPI_MCA_btl_tcp_if_include=eth0

# networked RUN STEPS WORDS…: $workers workers on three nodes (rank 0 takes a place of the first).
networked() {
    local run=$1 steps=$2
    shift 2
    timeout 120 ip netns exec "$space-0" unshare --uts bash -c 'hostname node0; exec "$@"' bash \
        "$shardlm" train tiny.yaml --run "$run" --workers "$workers" --hostfile hosts --steps "$steps" "$@" >"$run.log" 2>&1 ||
        fail "train $run: $(tail -n 5 "$run.log")"
    local i
    for ((i = 0; i < nodes; i++)); do
        grep '"event":"workers"' "$run/journal.jsonl" | grep -q "\"node$i\"" || fail "train $run: node$i had no worker"
    done
}

steps=4
train one 1 $steps
expected=$(fingerprint one $steps)
workers=5
networked stage1 $steps
same stage1 $steps "$expected" "5 workers on 3 nodes, stage 1"
networked stage0 $steps --set shard.stage=0 --set lease.mode=dynamic
same stage0 $steps "$expected" "5 workers on 3 nodes, stage 0, dynamic leases"

workers=4
networked stage3 $steps --set shard.stage=3 --set shard.pipeline=2
same stage3 $steps "$expected" "4 workers on 3 nodes, stage 3, pipelines of 2"

# What was written there resumes here, on one node.
resume stage1 2 6
resume one 3 6
same stage1 6 "$(fingerprint one 6)" "begun on 3 nodes, resumed on one"

# A cut wire: the report names a worker over there, mpirun, which would wait for it for good, is ended, the host is
# dropped, and the run goes on with the rest.
ip netns exec "$space-0" unshare --uts bash -c 'hostname node0; exec "$@"' bash \
    timeout 200 "$shardlm" train tiny.yaml --run cut --workers 5 --hostfile hosts --set optimizer.total_steps=100000 \
    --set lease.heartbeat_seconds=0.5 --set lease.silence_seconds=4 >cut.log 2>&1 &
job=$!
wait_for_step cut 3
ip -n "$hub" link set port2 down
for ((i = 0; i < 900; i++)); do
    if grep -qs '"event":"restart"' cut/journal.jsonl; then break; fi
    sleep 0.1
done
grep -q 'no sign of life for 4 s: worker [34] (host node2' cut.log || fail "no report of the cut: $(tail -n 5 cut.log)"
grep -q 'host 10.77.0.3 does not start a process: dropped' cut.log || fail "the host was not dropped: $(tail -n 5 cut.log)"
again=$(grep '"event":"restart"' cut/journal.jsonl | grep -o '"step":[0-9]*' | cut -d: -f2)
wait_for_step cut $((again + 2))
kill -INT "$(pgrep -P "$job" -x shardlm || echo "$job")"
code=0
wait "$job" || code=$?
[ "$code" -eq 75 ] || fail "stopped after the cut with code $code: $(tail -n 5 cut.log)"
train straight 2 $((again + 2)) --set optimizer.total_steps=100000
same cut $((again + 2)) "$(fingerprint straight $((again + 2)))" "a wire cut, a host dropped"
