#!/usr/bin/env bash
# One run, any cluster shape, the same bits: workers, leases, stages, nodes, stops and resumes on other shapes.
. "$(dirname "$0")/lib.sh" "$1"

steps=6
train one 1 $steps
expected=$(fingerprint one $steps)
[ ${#expected} -eq 32 ] || fail "no fingerprint: \"$expected\""

for workers in 2 3 4 5; do
    train "w$workers" "$workers" $steps
    same "w$workers" $steps "$expected" "$workers workers"
done
train dynamic 3 $steps --set lease.mode=dynamic
same dynamic $steps "$expected" "3 workers, dynamic leases"
train more 5 $steps --set lease.mode=dynamic --set shard.stage=0
same more $steps "$expected" "5 workers, dynamic leases, stage 0"
train stage0 2 $steps --set shard.stage=0
same stage0 $steps "$expected" "2 workers, stage 0"
train nodes2 4 $steps --set shard.simulate_nodes=2
same nodes2 $steps "$expected" "2 nodes of 2 workers, stage 1"
train nodes3 5 $steps --set shard.simulate_nodes=3 --set lease.mode=dynamic
same nodes3 $steps "$expected" "3 nodes of 2, 2 and 1 workers, stage 1, dynamic leases"
train nodes0 4 $steps --set shard.simulate_nodes=2 --set shard.stage=0
same nodes0 $steps "$expected" "2 nodes of 2 workers, stage 0"

train layer 2 $steps --set shard.activation_recompute=layer
same layer $steps "$expected" "2 workers, layers computed again"

# Stopped after every step, resumed on another shape each time.
train walk 1 1
resume walk 3 2
resume walk 2 3 --set lease.mode=dynamic --set shard.activation_recompute=attention
resume walk 4 4 --set shard.simulate_nodes=2
resume walk 5 5 --set shard.stage=0
resume walk 1 6
same walk $steps "$expected" "resumed after each of 6 steps on 1, 3, 2, 4, 5 and 1 workers"
for ((step = 1; step <= steps; step++)); do
    [ "$(fingerprint walk $step)" = "$(fingerprint one $step)" ] || fail "step $step of the walk differs"
done

# The checkpoint's own bytes say the same as the journal.
"$shardlm" checkpoint verify walk >/dev/null || fail "checkpoint verify"
[ "$("$shardlm" fingerprint walk | grep -o '[0-9a-f]\{32\}' | head -n 1)" = "$expected" ] || fail "fingerprint of the checkpoint"
echo "same bits: the checkpoint's recomputed fingerprint"

# Another seed must not pass for the same run: the comparison can fail.
"$shardlm" train tiny.yaml --run other --workers 2 --steps $steps --set seed=8 >other.log 2>&1
[ "$(fingerprint other $steps)" != "$expected" ] || fail "another seed gave the same fingerprint"
echo "other bits: another seed"
