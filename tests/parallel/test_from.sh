#!/usr/bin/env bash
# Continued pretraining: train --from begins with the weights of another run on another corpus, with the same bits on any number
# of workers, over a stop and when it must begin again; the journal and every checkpoint say what it began with. What does not
# fit is refused and leaves nothing.
tests=$(cd "$(dirname "$0")/.." && pwd)
. "$tests/parallel/lib.sh" "$(realpath "$1")"

python3 "$tests/end_to_end/make_text.py" 5 60 . >make.log
mkdir domain && python3 "$tests/end_to_end/make_text.py" 6 60 domain >>make.log
"$shardlm" tokenizer train --vocabulary 320 --out tokenizer text.txt >tokenizer.log 2>&1 || fail "tokenizer"
"$shardlm" tokenizer train --vocabulary 300 --out tokenizer-other domain/text.txt >>tokenizer.log 2>&1 || fail "tokenizer"
"$shardlm" corpus build --tokenizer tokenizer --out corpus text.txt >corpus.log 2>&1 || fail "corpus: $(tail -n 3 corpus.log)"
"$shardlm" corpus build --tokenizer tokenizer --out domain/corpus domain/text.txt >>corpus.log 2>&1 || fail "corpus"
"$shardlm" corpus build --tokenizer tokenizer-other --out domain/other domain/text.txt >>corpus.log 2>&1 || fail "corpus"

cat >tiny.yaml <<'YAML'
seed: 7
model:      {family: bert, layers: 2, hidden: 32, heads: 2, feed_forward: 64, dropout: 0.1}
data:       {corpus: corpus, sequence_tokens: 64, held_out: 0.2}
step:       {tokens: 896, slot_tokens: 128}
optimizer:  {peak_rate: 1e-3, warmup_steps: 2, total_steps: 400}
checkpoint: {every_steps: 0}
restart:    {attempts: 0}
YAML
train general 2 3
origin=$(fingerprint general 3)

# The domain: another corpus, rate, seed and dropout; the network is that of the checkpoint.
sed -e 's/seed: 7/seed: 8/' -e 's/corpus: corpus/corpus: domain\/corpus/' -e 's/peak_rate: 1e-3/peak_rate: 2e-5/' \
    -e 's/dropout: 0.1/dropout: 0.2/' tiny.yaml >domain.yaml
mv domain.yaml tiny.yaml
steps=4
train first 1 $steps --from general
expected=$(fingerprint first $steps)
train seed 1 1
[ "$(fingerprint seed 1)" != "$(fingerprint first 1)" ] || fail "--from changed nothing"
head -n 1 first/journal.jsonl | grep -q "\"from\":\"pretrained\",\"origin\":\"$scratch/general/checkpoints/step-00000003\",\"origin_fingerprint\":\"$origin\"" ||
    fail "journal: $(head -n 1 first/journal.jsonl)"
"$shardlm" checkpoint show first | grep -A 2 '^start:' >start.log || fail "checkpoint show"
grep -q "checkpoint: \"$scratch/general/checkpoints/step-00000003\"" start.log && grep -q "fingerprint: \"$origin\"" start.log ||
    fail "checkpoint show: $(cat start.log)"

train second 3 2 --from general/checkpoints/step-00000003 --set shard.stage=0
resume second 2 $steps
same second $steps "$expected" "3 workers from the checkpoint, stopped, resumed on 2"

# Without a checkpoint of its own the run begins again, with the weights it had.
rm -rf second/checkpoints/* second/memory
resume second 1 $steps
same second $steps "$expected" "begun again"

# The same weights over a Hugging Face folder.
"$shardlm" export general --out hf >export.log 2>&1 || fail "export: $(cat export.log)"
"$shardlm" import hf --out imported >import.log 2>&1 || fail "import: $(cat import.log)"
train third 2 $steps --from imported
same third $steps "$expected" "exported and imported"

# refused WORDS… -- PATTERN
refused() {
    local pattern=${*: -1} status=0
    "$shardlm" train tiny.yaml --run refused --workers 1 "${@:1:$#-2}" >refused.log 2>&1 || status=$?
    [ $status -eq 2 ] || fail "exit code $status: $(cat refused.log)"
    grep -q -- "$pattern" refused.log || fail "no \"$pattern\" in: $(cat refused.log)"
    [ ! -e refused ] || fail "a refused run left a folder"
}
refused --from general --set model.layers=3 -- "model.layers is 3 in the configuration, but 2 in the checkpoint"
refused --from general --set model.heads=4 -- "model.heads is 4 in the configuration, but 2 in the checkpoint"
refused --from general --set data.corpus=domain/other --set model.vocabulary=320 -- "was built with another tokenizer"
refused --from hf -- "make a checkpoint of it with shardlm import"
refused --from nowhere -- "is no checkpoint"
train plain 1 1 --set data.pairs=none
refused --from plain -- "the checkpoint has no tensor bert.pooler.dense.weight"
refused --from general --set start.fingerprint=00112233445566778899aabbccddeeff -- "but start.fingerprint is 0011"
echo "refused: another network, tokenizer, head, fingerprint; no checkpoint"
