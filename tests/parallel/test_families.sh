#!/usr/bin/env bash
# Every family on text with pairs, spans and next tokens: the same bits on 1, 2 and 3 workers, with static and dynamic leases,
# over a stop, and after a kill -9; evaluation has the figures of the family's heads.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/parallel/lib.sh" "$(realpath "$1")"

python3 "$tests/end_to_end/make_text.py" 5 60 . >make.log
"$shardlm" tokenizer train --vocabulary 320 --out tokenizer text.txt >tokenizer.log 2>&1 || fail "tokenizer"
"$shardlm" corpus build --tokenizer tokenizer --out corpus text.txt >corpus.log 2>&1 || fail "corpus: $(tail -n 3 corpus.log)"

# settings FAMILY: tiny.yaml of that family.
settings() {
    local more=""
    case $1 in albert) more=", embedding_width: 16" ;; spanbert) more=", span_position_width: 8" ;; xlnet) more=", memory_tokens: 40" ;; esac
    local chains=""
    [ $1 = xlnet ] && chains=", chain_rows: 2, bi_data: true"
    cat >tiny.yaml <<YAML
seed: 7
model:      {family: $1, layers: 2, hidden: 32, heads: 2, feed_forward: 64, dropout: 0.1$more}
data:       {corpus: corpus, sequence_tokens: 64, held_out: 0.2, mask_copies: 2, pair_copies: 2$chains}
step:       {tokens: 896, slot_tokens: 128}
optimizer:  {peak_rate: 1e-3, warmup_steps: 2, total_steps: 400}
checkpoint: {every_steps: 0}
restart:    {attempts: 0}
YAML
}

# has FILE KEY…: the JSON in FILE has these keys, and none of the other heads'.
has() {
    local file=$1 key
    shift
    for key in pair_loss pair_accuracy span_loss span_accuracy; do
        if [[ " $* " == *" $key "* ]]; then
            grep -q "\"$key\"" "$file" || fail "$file has no $key: $(cat "$file")"
        elif grep -q "\"$key\"" "$file"; then
            fail "$file has $key"
        fi
    done
}

steps=4
for family in roberta bert albert spanbert gpt xlnet; do
    case $family in
    bert | albert) heads="pair_loss pair_accuracy" ;;
    spanbert) heads="span_loss span_accuracy" ;;
    *) heads="" ;;
    esac
    settings $family
    train $family 1 $steps --set evaluation.every_steps=4 --set evaluation.tokens=512
    expected=$(fingerprint $family $steps)
    [ ${#expected} -eq 32 ] || fail "$family: no fingerprint"
    grep '"step":4,"loss"' "$family/journal.jsonl" >step.json
    # shellcheck disable=SC2086
    has step.json $heads
    grep '"event":"evaluation"' "$family/journal.jsonl" >evaluation.json || fail "$family: no evaluation"
    # shellcheck disable=SC2086
    has evaluation.json $heads
    "$shardlm" evaluate $family --corpus corpus --json >evaluate.json 2>evaluate.log || fail "$family: $(cat evaluate.log)"
    # shellcheck disable=SC2086
    has evaluate.json $heads

    if [ $family = gpt ]; then
        if "$shardlm" fill $family "the <mask> crossed" >fill.log 2>&1; then fail "fill took a causal model"; fi
        grep -q "predicts what comes next" fill.log || fail "fill: $(cat fill.log)"
    else
        "$shardlm" fill $family "the <mask> crossed" >fill.log 2>&1 || fail "$family: $(cat fill.log)"
    fi

    "$shardlm" score $family "the ship crossed" --json >score.json 2>score.log || fail "$family: $(cat score.log)"
    grep -q '"log_likelihood": -' score.json || fail "$family: $(cat score.json)"
    if [ $family = xlnet ]; then
        "$shardlm" score $family "the ship crossed" --json --order 3 >order.json || fail "score --order"
        if cmp -s score.json order.json; then fail "xlnet: --order changes nothing"; fi
    elif "$shardlm" score $family "the ship crossed" --order 3 >score.log 2>&1; then
        fail "$family: score took an order"
    fi

    train $family-3 3 $steps --set lease.mode=dynamic --set shard.stage=0
    same $family-3 $steps "$expected" "$family on 3 workers, dynamic leases, stage 0"
    train $family-pipeline 2 $steps --set shard.pipeline=2 --set evaluation.every_steps=4 --set evaluation.tokens=512
    same $family-pipeline $steps "$expected" "$family in a pipeline of 2 workers"
    [ "$(grep '"event":"evaluation"' $family-pipeline/journal.jsonl | grep -o '"[a-z_]*\(loss\|accuracy\)":[^,]*')" = \
        "$(grep -o '"[a-z_]*\(loss\|accuracy\)":[^,]*' evaluation.json)" ] || fail "$family: a pipeline evaluates otherwise"

    # A stop after step 2, then a kill somewhere behind it, then to the end on another shape.
    train $family-2 2 2 --set lease.mode=static
    "$shardlm" resume $family-2 --workers 1 >killed.log 2>&1 &
    job=$!
    wait_for_step $family-2 3
    kill -9 "$(rank_process $family-2 1)" || fail "$family: nothing to kill"
    wait $job && fail "$family: exit code 0 after a kill"
    resume $family-2 2 $steps --set shard.simulate_nodes=2
    same $family-2 $steps "$expected" "$family on 2 workers, stopped, killed, resumed on 2 nodes"
done
