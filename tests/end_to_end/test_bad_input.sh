#!/usr/bin/env bash
# Every input that a person can give, wrong in every way we could think of: one clear error, nothing left, nothing lost.
. "$(dirname "$0")/lib.sh" "$1"
make_corpus
sed -n 1,5p text.txt >lines.txt
train run 2 4 --set checkpoint.every_steps=2
run_quietly export run --out hf
run_quietly tokenizer train text.txt --out tokenizer-large --vocabulary 420
run_quietly corpus build text.txt --tokenizer tokenizer-large --out corpus-other
head -n 1 text.txt >one.txt
run_quietly corpus build one.txt --tokenizer tokenizer --out corpus-small
rm -f out err
"$here/bad_input.py" "$shardlm" "${2:-}" || fail "bad input"
