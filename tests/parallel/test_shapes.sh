#!/usr/bin/env bash
# One run, any cluster shape, the same bits: workers x stages x nodes on 20 steps, leases, and resumes from shape to
# shape. Every combination in turn takes minutes, so CI runs half of them; SHARDLM_SHAPES=all runs all.
. "$(dirname "$0")/lib.sh" "$1"

steps=20
sed -i 's/hidden: 64, heads: 2, feed_forward: 128/hidden: 32, heads: 2, feed_forward: 64/; s/tokens: 896/tokens: 448/; s/slot_tokens: 128/slot_tokens: 64/' tiny.yaml
sed -i 's/^data:.*/data:       {corpus: synthetic, sequence_tokens: 32, held_out: 0.1}\nevaluation: {every_steps: 10, tokens: 448}/' tiny.yaml

# held_out RUN: the losses of its evaluations.
held_out() {
    grep -o '"held_out_loss":[0-9.e+-]*' "$1/journal.jsonl" | sort -u | tr '\n' ' '
}

train one 1 $steps
expected=$(fingerprint one $steps)
losses=$(held_out one)
[ ${#expected} -eq 32 ] || fail "no fingerprint: \"$expected\""
[ -n "$losses" ] || fail "no held-out losses"

# 7 slots: 4 workers need two rounds, the second with one idle; nodes of 5 workers are uneven.
count=0
shape() {
    local workers=$1 nodes=$2 stage=$3 what
    shift 3
    what="$workers workers on $nodes nodes, stage $stage $*"
    count=$((count + 1))
    train "shape$count" "$workers" $steps --set shard.simulate_nodes="$nodes" --set shard.stage="$stage" "$@"
    same "shape$count" $steps "$expected" "$what"
    [ "$(held_out "shape$count")" = "$losses" ] || fail "$what: held-out losses differ: $(held_out "shape$count")"
    rm -rf "shape$count"
}
if [ "${SHARDLM_SHAPES:-some}" = all ]; then
    for workers in 1 2 3 4 5 6; do
        for nodes in 1 2 3; do
            for stage in 0 1 2 3; do
                [ "$nodes" -gt "$workers" ] || shape "$workers" "$nodes" "$stage"
            done
        done
    done
else
    for stage in 0 1 2 3; do
        shape 2 1 $stage
        shape 2 2 $stage
        shape 3 3 $stage
        shape 4 2 $stage
        shape 5 3 $stage
    done
    shape 6 2 3
    shape 3 1 0
    shape 6 1 1
fi
shape 3 1 1 --set lease.mode=dynamic
shape 5 3 1 --set lease.mode=dynamic
shape 4 2 3 --set numerics.audit_steps=3
shape 2 1 1 --set shard.activation_recompute=layer
shape 4 2 3 --set shard.activation_recompute=layer
shape 3 2 2 --set numerics.audit_steps=3
[ $count -ge 24 ] || fail "only $count shapes"
echo "same bits: $count shapes"

# Stopped now and then, resumed on another shape each time.
train walk 1 2
resume walk 3 4 --set shard.simulate_nodes=3 --set shard.stage=3
resume walk 2 6 --set shard.simulate_nodes=1 --set shard.stage=1 --set lease.mode=dynamic --set shard.activation_recompute=attention
resume walk 4 9 --set shard.simulate_nodes=2 --set shard.stage=2 --set lease.mode=auto
resume walk 5 12 --set shard.stage=0
resume walk 4 16 --set shard.stage=3
resume walk 1 $steps --set shard.simulate_nodes=1 --set shard.stage=2
same walk $steps "$expected" "resumed from shape to shape to shape"
for ((step = 1; step <= steps; step++)); do
    [ "$(fingerprint walk $step)" = "$(fingerprint one $step)" ] || fail "step $step of the walk differs"
done

# The checkpoint's own bytes say the same as the journal.
"$shardlm" checkpoint verify walk >/dev/null || fail "checkpoint verify"
[ "$("$shardlm" fingerprint walk | grep -o '[0-9a-f]\{32\}' | head -n 1)" = "$expected" ] || fail "fingerprint of the checkpoint"
echo "same bits: the checkpoint's recomputed fingerprint"

# A worker killed in the middle of an update over divided weights: the nodes go on from their memory.
SHARDLM_FAULT=update-torn:12:1 "$shardlm" train tiny.yaml --run torn --workers 4 --steps $steps \
    --set shard.simulate_nodes=2 --set shard.stage=3 >torn.log 2>&1 || fail "train torn: $(tail -n 5 torn.log)"
same torn $steps "$expected" "2 nodes, stage 3, a worker killed in an update"
grep -q '"from":"memory"' torn/journal.jsonl || fail "the killed job did not go on from memory"

# Another seed must not pass for the same run: the comparison can fail.
"$shardlm" train tiny.yaml --run other --workers 2 --steps $steps --set seed=8 >other.log 2>&1
[ "$(fingerprint other $steps)" != "$expected" ] || fail "another seed gave the same fingerprint"
echo "other bits: another seed"
