#!/usr/bin/env bash
# What `plan` says beforehand is what a run then takes: memory within a tenth, over sizes and numbers of workers.
. "$(dirname "$0")/lib.sh" "$1"

sed -i 's/every_steps: 0/every_steps: 1/; s/vocabulary: 500/vocabulary: 20000/' tiny.yaml

# check WORKERS NAME WORDS…: plan, run, compare all memory of the workers; on $nodes nodes.
nodes=1
check() {
    local workers=$1 name=$2
    shift 2
    "$shardlm" plan tiny.yaml --workers "$workers" --nodes $nodes --json "$@" >plan.json 2>err || fail "plan $name: $(tail -n 3 err)"
    train "$name" "$workers" 2 --set shard.simulate_nodes=$nodes "$@"
    /usr/bin/python3 - "$name" <<'PY' || fail "plan $name"
import json, sys
plan = json.load(open("plan.json"))
steps = [json.loads(line) for line in open(sys.argv[1] + "/journal.jsonl")]
measured = max(step["memory_mb"] for step in steps if "memory_mb" in step)
planned = plan["all_workers_mb"]
print(f"{sys.argv[1]}: {planned:.1f} MB planned, {measured:.1f} MB measured")
sys.exit(not 0.9 < planned / measured < 1.1)
PY
}
check 1 one
check 3 three --set step.slot_tokens=448
check 2 wide --set model.hidden=256 --set model.heads=4 --set model.feed_forward=1024 --set model.layers=6
check 2 piped --set shard.pipeline=2 --set model.layers=6 --set model.hidden=256 --set model.feed_forward=1024
check 2 parted --set numerics.tensor_parts=2 --set shard.tensor=2 --set model.layers=6 --set model.hidden=256 --set model.feed_forward=1024 --set model.vocabulary=50265
check 2 again --set shard.activation_recompute=layer --set model.layers=6 --set model.hidden=256 --set model.feed_forward=1024
nodes=2
for stage in 0 2 3; do
    check 2 "stage$stage" --set shard.stage=$stage --set model.hidden=256 --set model.heads=4 --set model.feed_forward=1024 --set model.layers=6
done
nodes=1
say "planned memory is within a tenth of the measured"

# A node too small: refused, and the shape that is named is not.
code=0
"$shardlm" plan tiny.yaml --workers 4 --memory 0.15 >out 2>err || code=$?
equal "$code" 2 "a shape that does not fit is refused"
words=$(grep -o -- '--workers [^(]*' err) || fail "no nearest shape in: $(cat err)"
# shellcheck disable=SC2086 # words of a command line
"$shardlm" plan tiny.yaml $words --memory 0.15 >out 2>err || fail "the nearest shape is refused: $(cat err)"
say "the shape that is named fits"
ls | grep -qx run && fail "plan left a folder" || true
