#!/usr/bin/env bash
# Products of bf16: the same bits on any shape, killed and resumed; where a processor has none, or the job's vector level is avx2, the
# job says so and computes in fp32, and what was begun in bf16 does not go on there.
. "$(dirname "$0")/lib.sh" "$1"

steps=12
says='this job computes in fp32'
bf16=(--set numerics.compute=bf16)

train fp32 1 $steps
fp32=$(fingerprint fp32 $steps)
train narrow 3 $steps "${bf16[@]}" --set numerics.core=avx2
same narrow $steps "$fp32" "fp32 where there is no bf16"
[ "$(grep -c "AVX512-BF16.*$says" narrow.log)" -eq 1 ] || fail "narrow does not say once that it $says: $(cat narrow.log)"

train one 1 $steps "${bf16[@]}"
if grep -q "$says" one.log; then
    same one $steps "$fp32" "fp32 on this processor"
    echo "the rest is skipped: this processor has no AVX512-BF16"
    exit 77
fi
one=$(fingerprint one $steps)
[ -n "$one" ] && [ "$one" != "$fp32" ] || fail "bf16 has the bits of fp32"
train two 2 $steps "${bf16[@]}" --set shard.activation_recompute=attention
same two $steps "$one" "2 workers, attention computed again"
train five 5 $steps "${bf16[@]}" --set lease.mode=dynamic --set shard.activation_recompute=layer
same five $steps "$one" "5 workers, leases on demand, layers computed again"
train nodes 4 $steps "${bf16[@]}" --set shard.simulate_nodes=2 --set shard.stage=3
same nodes $steps "$one" "2 nodes, stage 3"
train cut 4 $steps "${bf16[@]}" --set shard.pipeline=2
same cut $steps "$one" "2 pipelines"
train walk 3 5 "${bf16[@]}"
resume walk 1 8
resume walk 2 $steps
same walk $steps "$one" "resumed on 1 and on 2 workers"
SHARDLM_FAULT=totals-known:5:1 train killed 2 $steps "${bf16[@]}"
same killed $steps "$one" "killed in step 5"
train parts 1 $steps "${bf16[@]}" --set numerics.tensor_parts=2
train members 4 $steps "${bf16[@]}" --set numerics.tensor_parts=2 --set shard.tensor=2
same members $steps "$(fingerprint parts $steps)" "2 teams of 2 tensor members"

cp -r walk narrowed
sed -i 's/core: .*/core: avx2/' narrowed/config.yaml
grep -q 'core: avx2' narrowed/config.yaml || fail "narrowed/config.yaml: $(cat narrowed/config.yaml)"
code=0
"$shardlm" resume narrowed --workers 2 --steps $((steps + 2)) >refused.log 2>&1 || code=$?
[ $code -eq 2 ] || fail "resumed without bf16: exit code $code: $(cat refused.log)"
grep -q "numeric profile changed: the checkpoint has \"compute bf16" refused.log || fail "no reason: $(cat refused.log)"
echo "refused: to go on without bf16"
