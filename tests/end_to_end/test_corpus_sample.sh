#!/usr/bin/env bash
# corpus sample: what it shows is what its JSON says, plain where no terminal is, and the same every time.
. "$(dirname "$0")/lib.sh" "$1"
make_corpus

check_rows() {
    /usr/bin/python3 - "$@" <<'PY'
import json, sys
rows = [json.loads(line) for line in open("out")]
objective, pairs = sys.argv[1:3]
assert len(rows) == 6
for row in rows:
    starts, ids, segments = row["starts"], row["ids"], row["segments"]
    assert len(ids) == len(segments) == starts[-1] and len(row["labels"]) == len(starts) - 1
    assert row["target_rows"] == sorted(set(row["target_rows"]))
    for begin, end, label in zip(starts, starts[1:], row["labels"]):
        assert end - begin <= 64 and ids[begin] == 0 and ids[end - 1] == 2
        assert (label in (0, 1)) == (pairs != "none") and (1 in segments[begin:end]) == (pairs != "none")
    if objective == "causal":
        assert all(ids[place + 1] == there for place, there in zip(row["target_rows"], row["target_ids"]))
        assert len(row["target_rows"]) == len(ids) - len(starts) + 1
PY
}

for words in "dynamic_mask none" "whole_word_mask none" "ngram_mask sentence_order" "span_mask next_sentence" "causal none"; do
    set -- $words
    run_quietly corpus sample corpus --objective "$1" --pairs "$2" --tokens 64 --rows 6 --json
    check_rows "$1" "$2" || fail "rows of $words"
    cp out first
    run_quietly corpus sample corpus --objective "$1" --pairs "$2" --tokens 64 --rows 6 --json
    cmp -s out first || fail "$words: another time, other rows"
    run_quietly corpus sample corpus --objective "$1" --pairs "$2" --tokens 64 --rows 6
    if grep -q $'\033' out; then fail "$words: colours where no terminal is"; fi
    grep -q "tokens, .* predicted" out || fail "$words: nothing shown"
    say "rows of $words"
done
run_quietly corpus sample corpus --pairs next_sentence --rows 20
grep -q "label 0: B follows A" out && grep -q "label 1: B is from another document" out || fail "labels in words"
say "labels in words"
if "$shardlm" corpus sample corpus --objective masks >out 2>err; then fail "an unknown objective was taken"; fi
grep -q "expected one of dynamic_mask, " err || fail "unknown objective: $(cat err)"
if "$shardlm" corpus sample corpus --pairs next_sentence --objective causal >out 2>err; then fail "causal pairs were taken"; fi
say "what cannot be is refused"
