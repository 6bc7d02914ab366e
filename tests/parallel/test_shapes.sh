#!/usr/bin/env bash
# One run, any cluster shape, the same bits: 20 steps on real text, compared over workers x nodes x stages x tensor partitions x
# pipelines x leases x activations computed again x audits, and a resume from each shape to the next. cover.awk makes the list:
# any two of these have together each pair of values that is allowed.
here=$(realpath "$(dirname "$0")")
. "$here/lib.sh" "$1"
float_sums=$3

steps=20 parts=4
cat >tiny.yaml <<YAML
seed: 7
model:      {family: roberta, layers: 3, hidden: 32, heads: 4, feed_forward: 64, positions: 32, dropout: 0.1}
data:       {corpus: corpus, sequence_tokens: 32, held_out: 0.1}
step:       {tokens: 448, slot_tokens: 64}
optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 4, total_steps: 400}
numerics:   {tensor_parts: $parts}
checkpoint: {every_steps: 0, keep: 3}
evaluation: {every_steps: 10, tokens: 448}
YAML
cat "$here"/../../README.md "$here"/../../docs/*.md >text.txt
"$shardlm" tokenizer train --vocabulary 500 --out tokenizer text.txt >tools.log 2>&1 || fail "tokenizer: $(cat tools.log)"
"$shardlm" corpus build --tokenizer tokenizer --out corpus text.txt >tools.log 2>&1 || fail "corpus: $(cat tools.log)"

# allowed: every shape that the program takes, a row each. 7 slots a step: 4 teams need two rounds, the second with one idle.
allowed() {
    local workers nodes stage tensor pipeline lease recompute audit
    for workers in 6 5 4 3 2 1; do for nodes in 1 2 3; do for stage in 0 1 2 3; do
        for tensor in 1 2 4; do for pipeline in 1 2 3; do for lease in static dynamic; do
            [ "$nodes" -le "$workers" ] || continue
            [ $((workers % (tensor * pipeline))) -eq 0 ] || continue
            [ $lease = static ] || [ "$stage" -le 1 ] || continue
            for recompute in none attention layer; do for audit in 0 3; do
                echo "$workers $nodes $stage $tensor $pipeline $lease $recompute $audit"
            done; done
        done; done; done
    done; done; done
}
mapfile -t shapes < <(allowed | awk -f "$here/cover.awk")
[ ${#shapes[@]} -ge 24 ] || fail "only ${#shapes[@]} shapes"

# words ROW: sets `workers`, `audit`, `what` and the options that a resume may change, `options`.
words() {
    local nodes stage tensor pipeline lease recompute
    read -r workers nodes stage tensor pipeline lease recompute audit <<<"$1"
    what="workers $workers, nodes $nodes, stage $stage, tensor $tensor, pipeline $pipeline, $lease, recompute $recompute, audit $audit"
    options=(--set shard.simulate_nodes="$nodes" --set shard.stage="$stage" --set shard.tensor="$tensor" --set shard.pipeline="$pipeline"
        --set lease.mode="$lease" --set shard.activation_recompute="$recompute")
}

# held_out RUN: the losses of its evaluations.
held_out() {
    grep -o '"held_out_loss":[0-9.e+-]*' "$1/journal.jsonl" | sort -u | tr '\n' ' '
}

train one 1 $steps
expected=$(fingerprint one $steps)
losses=$(held_out one)
[ ${#expected} -eq 32 ] || fail "no fingerprint: \"$expected\""
[ "$(wc -w <<<"$losses")" -eq 2 ] || fail "held-out losses: $losses"
for shape in "${shapes[@]}"; do
    words "$shape"
    train shape "$workers" $steps "${options[@]}" --set numerics.audit_steps="$audit"
    same shape $steps "$expected" "$what"
    [ "$(held_out shape)" = "$losses" ] || fail "$what: held-out losses differ: $(held_out shape)"
    rm -r shape
done
echo "same bits: ${#shapes[@]} shapes"

# From each shape to the next, a step on each.
last=$((${#shapes[@]} + 1))
[ $last -le $steps ] || resume one 1 $last
train walk 1 1
for ((i = 0; i < ${#shapes[@]}; i++)); do
    words "${shapes[i]}"
    resume walk "$workers" $((i + 2)) "${options[@]}"
done
for ((step = 1; step <= last; step++)); do
    [ "$(fingerprint walk $step)" = "$(fingerprint one $step)" ] || fail "step $step of the walk differs: ${shapes[step - 2]:-}"
done
echo "same bits: a walk through all of them"

# The checkpoint's own bytes say the same as the journal.
"$shardlm" checkpoint verify walk >/dev/null || fail "checkpoint verify"
[ "$("$shardlm" fingerprint walk | grep -o '[0-9a-f]\{32\}' | head -n 1)" = "$(fingerprint one $last)" ] || fail "fingerprint of the checkpoint"
echo "same bits: the checkpoint's recomputed fingerprint"

# A worker killed in the middle of an update over divided weights: the nodes go on from their memory.
SHARDLM_FAULT=update-torn:12:1 train torn 4 $steps --set shard.simulate_nodes=2 --set shard.stage=3
same torn $steps "$expected" "2 nodes, stage 3, a worker killed in an update"
grep -q '"from":"memory"' torn/journal.jsonl || fail "the killed job did not go on from memory"

# The comparison can fail. Float sums (float_sums.c) in place of the exact ones make a run of another shape another run; and what
# belongs to the run, not to the shape, changes the bits.
differs() {
    if (same "$1" "$2" "$3" "$4") >/dev/null 2>&1; then fail "$4 gave the same fingerprint"; fi
    [ -n "$(fingerprint "$1" "$2")" ] || fail "$4 gave no fingerprint"
    echo "other bits: $4"
}
(
    shardlm=$float_sums
    train float1 1 2
    train float2 2 2 --set shard.simulate_nodes=2 --set shard.stage=3
)
differs float2 2 "$(fingerprint float1 2)" "float sums on two nodes"
train seed 1 2 --set seed=8
differs seed 2 "$(fingerprint one 2)" "another seed"
train slots 1 2 --set step.slot_tokens=32
differs slots 2 "$(fingerprint one 2)" "other slots"
train parts 1 2 --set numerics.tensor_parts=2
differs parts 2 "$(fingerprint one 2)" "other tensor parts"
