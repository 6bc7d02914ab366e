#!/usr/bin/env bash
# The whole way on real text: tokenizer, corpus, training with every objective and packing, evaluation, predictions, export and
# import. Whatever must not change a result (kind of file, threads, workers, a detour over a Hugging Face folder) does not.
. "$(dirname "$0")/lib.sh" "$1"
make_corpus

# ---- the same documents from any kind of file
corpus_fingerprint() {
    run_quietly corpus show "$1" --json
    member fingerprint
}
expected=$(corpus_fingerprint corpus)
mkdir folder
gzip -c text.txt >text.txt.gz
zstd -q text.jsonl -o folder/text.jsonl.zst
for source in text.jsonl text.txt.gz folder; do
    run_quietly corpus build $source --tokenizer tokenizer --out "corpus-$source" --threads 3
    equal "$(corpus_fingerprint "corpus-$source")" "$expected" "the corpus of $source is that of text.txt"
done
run_quietly corpus build text.txt --tokenizer tokenizer --out pieces --shard-tokens 9000 --threads 1
equal "$(cat pieces/tokenizer/tokenizer.json | cksum)" "$(cksum <tokenizer/tokenizer.json)" "a corpus keeps its tokenizer"
[ "$(ls pieces/corpus-*.h5 | wc -l)" -ge 8 ] || fail "small corpus shards: $(ls pieces)"

# ---- encode and decode are inverse; special tokens stand around a line
sed -n 1,20p text.txt >lines.txt
run_quietly tokenizer encode lines.txt --tokenizer tokenizer
cp out ids
run_quietly tokenizer decode ids --tokenizer tokenizer
cmp -s out lines.txt || fail "decode does not give the lines back"
say "decode undoes encode"
run_quietly tokenizer encode lines.txt --tokenizer corpus/tokenizer/tokenizer.json --special
equal "$(cksum <out)" "$(sed 's/^\[/[0, /; s/\]$/, 2]/; s/, , /, /' ids | cksum)" "--special puts <s> and </s> around"

# ---- every objective and packing: 1 and 3 workers, straight and resumed, the same bits and the same held-out numbers
steps=5
for packing in full document; do
    for objective in dynamic_mask static_mask whole_word_mask; do
        name=$packing-$objective
        set_objective=(--set data.packing=$packing --set data.objective=$objective)
        train "$name-1" 1 $steps "${set_objective[@]}"
        train "$name-3" 3 3 "${set_objective[@]}" --set lease.mode=dynamic
        resume "$name-3" 2 $steps
        same "$name-3" $steps "$(fingerprint "$name-1" $steps)" "$name with 1 worker, and with 3 then 2"
        run_quietly evaluate "$name-1" --corpus corpus --json
        numbers=$(grep -o '"held_out_loss.*' out)
        run_quietly evaluate "$name-3" --corpus corpus --json
        equal "$(grep -o '"held_out_loss.*' out)" "$numbers" "$name: the same held-out numbers"
    done
done
for pair in "full-dynamic_mask full-whole_word_mask" "full-dynamic_mask document-dynamic_mask"; do
    set -- $pair
    [ "$(fingerprint "$1-1" $steps)" != "$(fingerprint "$2-1" $steps)" ] || fail "$1 and $2 give the same weights"
done

# ---- masks are fixed or new: an epoch is 80 steps here, and dynamic masks are those of the first fixed copy in the first epoch
train fixed 2 90 --set data.packing=full --set data.objective=static_mask --set data.mask_copies=1
train fresh 2 90 --set data.packing=full
equal "$(fingerprint fixed 60)" "$(fingerprint fresh 60)" "fixed and new masks are equal in the first epoch"
[ "$(fingerprint fixed 90)" != "$(fingerprint fresh 90)" ] || fail "new masks are not new in the second epoch"
say "fixed and new masks differ in the second epoch"
run=fresh

# ---- journal, recomputed fingerprint of the run and of the checkpoint, list, show
expected=$(fingerprint $run 90)
checkpoint=$run/checkpoints/step-00000090
run_quietly fingerprint $run --json
equal "$(member fingerprint)" "$expected" "fingerprint RUN is the journal's"
run_quietly fingerprint $checkpoint --json
equal "$(member fingerprint) $(member step)" "$expected 90" "fingerprint CHECKPOINT is the journal's"
run_quietly checkpoint list $run --json
equal "$(member 0 fingerprint) $(member 0 path)" "$expected $checkpoint" "checkpoint list"
run_quietly checkpoint show $checkpoint --json
equal "$(member fingerprint) $(member step) $(member seed)" "$expected 90 7" "checkpoint show"
run_quietly checkpoint verify $run

# ---- it has learnt something: below the uniform distribution over 400 ids (5.99 nats) and falling
run_quietly evaluate $run --corpus corpus --json
learnt=$(member held_out_loss)
run_quietly evaluate full-dynamic_mask-1 --corpus corpus --json
early=$(member held_out_loss)
awk -v late="$learnt" -v early="$early" 'BEGIN { exit !(late < early - 0.5 && early < 6.5) }' || fail "held-out loss from $early to $learnt"
say "held-out loss falls from $early to $learnt"

# ---- predictions
text="The old <mask> opened the garden near<mask> village."
run_quietly fill $checkpoint "$text" --json --top 3
/usr/bin/python3 - <<'PYTHON' || fail "fill: $(cat out)"
import json
masks = json.load(open("out"))
assert len(masks) == 2
for guesses in masks:
    probabilities = [guess["probability"] for guess in guesses]
    assert len(guesses) == 3 and probabilities == sorted(probabilities, reverse=True) and 0 < sum(probabilities) <= 1
PYTHON
cp out guesses
say "fill gives sorted probabilities for each mask"
run_quietly fill $checkpoint "one <mask> here" --top 300
[ "$(wc -l <out)" -eq 301 ] || fail "fill: a piece broke its line: $(wc -l <out) lines, expected 301"
say "fill shows a line feed within its line"

# ---- a Hugging Face folder and back: the same weights, the same predictions, the same bytes when exported again
run_quietly export $checkpoint --out hf
run_quietly import hf --out back
run_quietly export back --out hf-again
cmp -s hf/model.safetensors hf-again/model.safetensors || fail "weights change over export and import"
diff -q hf/tokenizer.json hf-again/tokenizer.json >/dev/null || fail "the tokenizer changes over export and import"
say "export, import, export: the same weights"
for source in hf back hf-again; do
    run_quietly fill $source "$text" --json --top 3
    cmp -s out guesses || fail "predictions of $source differ"
done
run_quietly checkpoint verify back
run_quietly fingerprint back --json
equal "$(member step)" 0 "an import is at step 0"
run_quietly evaluate hf --corpus corpus --json
numbers=$(grep -o '"held_out_loss.*' out)
run_quietly evaluate back --corpus corpus --json
equal "$(grep -o '"held_out_loss.*' out)" "$numbers" "the export and its import have the same held-out numbers"

# ---- a checkpoint can be used alone
cp -r $checkpoint alone
mv fresh corpus tokenizer "$(mktemp -d -p .)"
run_quietly fill alone "$text" --json --top 3
cmp -s out guesses || fail "predictions of a copied checkpoint differ"
say "a copied checkpoint needs neither run nor corpus"
