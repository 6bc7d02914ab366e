#!/usr/bin/env bash
# Slots that several workers compute together (shard.tensor), beyond what test_shapes.sh compares: members on two nodes, kills,
# audits that find a flipped bit, a member that stands still; and what cannot be is refused by name.
. "$(dirname "$0")/lib.sh" "$1"

steps=6
for ((i = 0; i < 400; i++)); do printf 'document %d tells of light on the river and of old bridges\n\n' "$i"; done >words.txt
"$shardlm" tokenizer train --vocabulary 300 --out tokenizer words.txt >tools.log 2>&1 || fail "tokenizer: $(cat tools.log)"
"$shardlm" corpus build --tokenizer tokenizer --out corpus words.txt >tools.log 2>&1 || fail "corpus: $(cat tools.log)"
sed -i 's/heads: 2/heads: 4/; s/vocabulary: 500/vocabulary: 0/; s/corpus: synthetic/corpus: corpus, held_out: 0.2/' tiny.yaml
two=(--set numerics.tensor_parts=2)
pair=("${two[@]}" --set shard.tensor=2)

# refused WHAT WORDS COMMAND…: exit code 2, and the words.
refused() {
    local what=$1 words=$2 code=0
    shift 2
    "$shardlm" "$@" >refused.log 2>&1 || code=$?
    [ $code -eq 2 ] || fail "$what: exit code $code: $(tail -n 3 refused.log)"
    grep -q -- "$words" refused.log || fail "$what: $(tail -n 3 refused.log)"
    echo "refused: $what"
}

train one 1 $steps "${two[@]}"
expected=$(fingerprint one $steps)
[ ${#expected} -eq 32 ] || fail "no fingerprint: \"$expected\""
train apart 2 $steps "${pair[@]}" --set shard.simulate_nodes=2 --set shard.stage=3
same apart $steps "$expected" "2 parts on 2 nodes, stage 3"
train line 4 $steps "${pair[@]}" --set shard.simulate_nodes=2 --set shard.pipeline=2 --set numerics.audit_steps=2
same line $steps "$expected" "2 parts in each of 2 sections of a pipeline on 2 nodes, slots computed twice"

# Killed in a slot and in the update: memory serves.
for point in slot-computed update-complete; do
    SHARDLM_FAULT=$point:4:1 train "kill-$point" 2 $steps "${pair[@]}"
    same "kill-$point" $steps "$expected" "2 parts on 2 workers, killed at $point"
    grep -q '"from":"memory"' "kill-$point/journal.jsonl" || fail "kill at $point: not from memory"
done

# A second pair computes a slot of the first; one that flips a bit is found out.
train audited 4 $steps "${pair[@]}" --set numerics.audit_steps=2
same audited $steps "$expected" "2 parts on 2 x 2 workers, slots computed twice"
code=0
SHARDLM_SPOIL=flip:6:3:2 "$shardlm" train tiny.yaml --run broken --workers 6 --set restart.attempts=0 --steps $steps \
    "${pair[@]}" --set numerics.audit_steps=2 --set lease.mode=static >broken.log 2>&1 || code=$?
[ $code -ne 0 ] || fail "a flipped bit was not found"
grep -q 'audit of step 6: workers 2 to 3 computed another gradient of slot 3 than workers 0 to 1; of 3 teams, 1 agree' broken.log || fail "$(tail -n 3 broken.log)"
echo "found: a flipped bit"

# A member that stands still is named by the one that waits for it.
code=0
SHARDLM_FAULT=slot-computed:3:1:still "$shardlm" train tiny.yaml --run still --workers 2 --steps $steps "${pair[@]}" --set restart.attempts=0 \
    --set lease.wait_seconds=2 --set lease.silence_seconds=60 >still.log 2>&1 || code=$?
[ $code -ne 0 ] || fail "a member that stands still was not noticed"
grep -q 'partial sums, from worker 1' still.log || fail "who stood still: $(tail -n 3 still.log)"
echo "named: a member that stands still"

refused "3 workers in pairs" "must be a multiple of it, not 3" train tiny.yaml --run no --workers 3 "${pair[@]}"
refused "2 parts on 4 workers each" "numerics.tensor_parts 2 is not a multiple of shard.tensor 4" \
    train tiny.yaml --run no --workers 4 "${two[@]}" --set shard.tensor=4
refused "8 parts of 4 heads" "numerics.tensor_parts is 8; it must divide the model's 4 heads" \
    train tiny.yaml --run no --workers 1 --set numerics.tensor_parts=8
refused "XLNet in parts" "numerics.tensor_parts is 2; attention by distance" train tiny.yaml --run no --workers 1 "${two[@]}" \
    --set model.family=xlnet --set data.objective=permutation
refused "other parts than the run's" "numerics.tensor_parts=4: a resumed run keeps" resume one --workers 1 --steps 8 --set numerics.tensor_parts=4
[ ! -e no ] || fail "a refused run left a folder"
