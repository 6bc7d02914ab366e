#!/usr/bin/env bash
# Slots that pass through several workers (shard.pipeline), beyond what test_shapes.sh compares: a section for each layer, teams
# that lie across uneven nodes, kills, a worker that stands still; and what cannot be is refused before anything begins.
. "$(dirname "$0")/lib.sh" "$1"

cat >tiny.yaml <<'YAML'
seed: 7
model:      {family: roberta, layers: 4, hidden: 64, heads: 2, feed_forward: 128, positions: 32, dropout: 0.1, vocabulary: 500}
data:       {corpus: synthetic, sequence_tokens: 32}
step:       {tokens: 896, slot_tokens: 128}
optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 4, total_steps: 400}
checkpoint: {every_steps: 0, keep: 3}
evaluation: {every_steps: 2, tokens: 384}
YAML

# losses RUN STEP: training and held-out, as the journal has them.
losses() {
    grep "\"step\":$2," "$1/journal.jsonl" | grep -o '"\(held_out_\)\?loss":[0-9.]*' | sort -u
}

# refused EXPECTED WORKERS [words…]: exit code 2, the sentence, and no run folder.
refused() {
    local expected=$1 workers=$2 code=0
    shift 2
    "$shardlm" train tiny.yaml --run refused --workers "$workers" --steps 1 "$@" >refused.log 2>&1 || code=$?
    [ $code -eq 2 ] || fail "$*: exit code $code, expected 2: $(tail -n 3 refused.log)"
    grep -q "$expected" refused.log || fail "$*: no \"$expected\" in: $(tail -n 3 refused.log)"
    [ ! -e refused ] || fail "$*: a run folder was begun"
    echo "refused: $*"
}

steps=4
train one 1 $steps
expected=$(fingerprint one $steps)
[ ${#expected} -eq 32 ] || fail "no fingerprint: \"$expected\""

# pipeline RUN WORKERS P WHAT [words…]
pipeline() {
    local run=$1 workers=$2 sections=$3 what=$4
    shift 4
    train "$run" "$workers" $steps --set shard.pipeline="$sections" "$@"
    same "$run" $steps "$expected" "$what"
    [ "$(losses "$run" $steps)" = "$(losses one $steps)" ] || fail "$what: other losses"
}
pipeline p4 4 4 "4 workers, pipeline of 4, attention computed again" --set shard.activation_recompute=attention
pipeline nodes 4 2 "2 nodes of 2 workers, a pipeline each, a slot computed twice, stage 2" --set shard.stage=2 --set shard.simulate_nodes=2 --set numerics.audit_steps=2
grep -q '"audited_slot":2' nodes/journal.jsonl || fail "no slot was computed twice"
pipeline three 6 3 "4 nodes of 1 and 2 workers, pipelines of 3 across them, stage 3" --set shard.simulate_nodes=4 --set shard.stage=3
pipeline across 6 3 "4 nodes of 1 and 2 workers, pipelines of 3 across them, layers computed again, stage 0" \
    --set shard.simulate_nodes=4 --set shard.stage=0 --set shard.activation_recompute=layer
pipeline dynamic 6 3 "2 pipelines of 3 on 2 nodes, slots leased one by one" --set lease.mode=dynamic --set shard.simulate_nodes=2

# Killed in the middle of a step and of an update.
killed() {
    local point=$1
    shift
    SHARDLM_FAULT=$point:1:3 "$shardlm" train tiny.yaml --run $point --workers 4 --steps $steps --set shard.pipeline=2 "$@" \
        >$point.log 2>&1 || fail "train $point: $(tail -n 5 $point.log)"
    same $point $steps "$expected" "a worker of a pipeline killed at $point, $*"
    grep -q '"from":"memory"' $point/journal.jsonl || fail "the killed job did not go on from memory"
}
killed slot-computed --set lease.mode=dynamic
killed update-torn --set shard.simulate_nodes=2 --set shard.stage=3

# Layers that share tensors are in several sections: float sums over layers go on from worker to worker, in parts or whole.
albert=(--set model.family=albert --set model.embedding_width=32 --set data.pairs=none --set data.objective=dynamic_mask
    --set optimizer.name=adamw --set numerics.tensor_parts=2 --set model.share)
for share in all ffn; do
    train albert-$share 1 2 "${albert[@]}=$share"
    grep -q '"targets":[1-9]' albert-$share/journal.jsonl || fail "nothing was predicted"
    train cut-$share 3 2 "${albert[@]}=$share" --set shard.pipeline=3
    same cut-$share 2 "$(fingerprint albert-$share 2)" "ALBERT that shares $share, a pipeline of 3"
    train parts-$share 8 2 "${albert[@]}=$share" --set shard.pipeline=2 --set shard.tensor=2 --set lease.mode=dynamic --set numerics.audit_steps=2
    same parts-$share 2 "$(fingerprint albert-$share 2)" "ALBERT that shares $share, 2 pipelines of 2 pairs, leased slots, one computed twice"
done

# A pipeline with a worker that computes wrong bits is named by two that do not.
code=0
SHARDLM_SPOIL=flip:2:1:3 "$shardlm" train tiny.yaml --run broken --workers 6 --steps 2 --set shard.pipeline=2 --set numerics.audit_steps=2 \
    --set restart.attempts=0 >broken.log 2>&1 || code=$?
[ $code -ne 0 ] || fail "a flipped bit was not found"
grep -q 'audit of step 2: workers 2 to 3 computed another gradient of slot 1 than workers 4 to 5; of 3 teams, 1 agree' broken.log || fail "$(tail -n 3 broken.log)"
echo "found: a flipped bit in a pipeline"

# A worker that stands still is named by the one that waits for it.
SHARDLM_FAULT=slot-computed:3:1:still "$shardlm" train tiny.yaml --run still --workers 2 --steps 6 --set shard.pipeline=2 --set lease.wait_seconds=5 \
    --set restart.attempts=0 --set evaluation.every_steps=0 >still.log 2>&1 &
job=$!
wait_for_step still 2
code=0
"$shardlm" ctl still workers 3 >ctl.txt 2>&1 || code=$?
[ $code -eq 2 ] && grep -q "2 of them compute a slot together (shard.tensor, shard.pipeline)" ctl.txt || fail "ctl workers 3: exit code $code, $(cat ctl.txt)"
if wait $job; then fail "a job with a worker that stands still came to its end"; fi
grep -q 'waited 5 s .* worker 1 on host' still.log || fail "nobody named worker 1: $(tail -n 3 still.log)"
echo "named: a worker of a pipeline that stands still"

# One worker of two pipelines runs a third of the time: its pipeline gets fewer slots.
sed -i 's/tokens: 896/tokens: 35840/' tiny.yaml
train even 2 10 --set evaluation.every_steps=0
"$shardlm" train tiny.yaml --run slow --workers 4 --steps 10 --set evaluation.every_steps=0 --set shard.pipeline=2 --set lease.mode=dynamic >slow.log 2>&1 &
job=$!
wait_for_step slow 1
slowed slow 4
wait $job || fail "slow ended badly: $(tail -n 5 slow.log)"
same slow 10 "$(fingerprint even 10)" "a worker of one of two pipelines slowed to a third"
echo "the slow worker's pipeline computed $own of $((all / 2)) slots that were looked at"
[ $all -gt 0 ] && [ $((9 * own)) -lt $((2 * all)) ] || fail "the slow pipeline kept $own of $((all / 2)) slots: four ninths or more"

refused "shard.pipeline is 2.*multiple of it, not 3" 3 --set shard.pipeline=2
refused "shard.pipeline is 5, but the model has 4 layers" 5 --set shard.pipeline=5
