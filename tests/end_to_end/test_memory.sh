#!/usr/bin/env bash
# Memory falls as it should: a node's shared memory by stage, a worker's own by tensor partitions and by activations computed
# again, all workers' by a pipeline. Measured beside what `plan` says, so a shape that no longer saves what it promises is found.
. "$(dirname "$0")/lib.sh" "$1"

cat >tiny.yaml <<'YAML'
model:      {layers: 8, hidden: 256, heads: 4, feed_forward: 1024, vocabulary: 4000}
data:       {corpus: synthetic}
step:       {tokens: 2048, slot_tokens: 512}
optimizer:  {total_steps: 400}
numerics:   {tensor_parts: 2}
YAML

# measure NAME WORKERS NODES WORDS…: into NAME.plan and NAME.json; nothing is written, so there is no checkpoint's snapshot.
measure() {
    local name=$1 workers=$2 nodes=$3
    shift 3
    "$shardlm" plan tiny.yaml --workers "$workers" --nodes "$nodes" --json "$@" >"$name.plan" 2>err || fail "plan $name: $(tail -n 3 err)"
    "$shardlm" bench step tiny.yaml --workers "$workers" --steps 2 --set shard.simulate_nodes="$nodes" "$@" >"$name.json" 2>err ||
        fail "bench step $name: $(tail -n 3 err)"
}
for stage in 0 1 2 3; do measure "stage$stage" 4 4 --set shard.stage=$stage; done
measure whole 2 1
measure tensor 2 1 --set shard.tensor=2
measure pipeline 2 1 --set shard.pipeline=2
measure attention 2 1 --set shard.activation_recompute=attention
measure layer 2 1 --set shard.activation_recompute=layer

/usr/bin/python3 - <<'PY' || fail "memory is not what plan says"
import json, sys

def read(name):
    return json.load(open(name + ".plan")), json.load(open(name + ".json"))

good = True
def compare(what, planned, measured, tolerance):
    global good
    right = abs(measured - planned) <= tolerance * planned
    good &= right
    print(f"{what}: {planned:.1f} MB planned, {measured:.1f} MB measured{'' if right else '  <-- differs'}")

for stage in range(4): # each saves a quarter or more of what the one below it takes
    plan, seen = read(f"stage{stage}")
    compare(f"a node of four, stage {stage}", plan["shared_mb"] - plan["snapshot_mb"], seen["node_mb"], 0.07)
whole_plan, whole = read("whole")
for name, key, planned_key in (("tensor", "worker_mb", "worker_mb"), ("attention", "worker_mb", "worker_mb"),
                               ("layer", "worker_mb", "worker_mb"), ("pipeline", "peak_mb", "all_workers_mb")):
    plan, seen = read(name)
    compare(f"saved by {name}", whole_plan[planned_key] - plan[planned_key], whole[key] - seen[key], 0.2)
sys.exit(not good)
PY
say "each stage and partition saves what plan says"
