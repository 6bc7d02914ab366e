# Shared by the end-to-end tests: that of tests/parallel (scratch folder, runs, fingerprints), and real text for them.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../parallel/lib.sh" "$1"

# say WORDS…: one line for each thing that was shown.
say() {
    echo "holds: $*"
}

# run_quietly WORDS…: the program must succeed; its standard output goes to `out`.
run_quietly() {
    "$shardlm" "$@" >out 2>err || fail "shardlm $*: $(tail -n 3 err)"
}

# member KEY…: from the JSON object in `out`.
member() {
    /usr/bin/python3 -c 'import json, sys
value = json.load(open("out"))
for key in sys.argv[1:]:
    value = value[int(key) if isinstance(value, list) else key]
print(value)' "$@"
}

# equal A B WHAT
equal() {
    [ "$1" = "$2" ] || fail "$3: \"$1\" is not \"$2\""
    say "$3"
}

# make_corpus: text.txt, text.jsonl, tokenizer/ and corpus/ in the scratch folder, and tiny.yaml for them.
make_corpus() {
    "$here/make_text.py" 1 400 .
    run_quietly tokenizer train text.txt --out tokenizer --vocabulary 400
    run_quietly corpus build text.txt --tokenizer tokenizer --out corpus
    cat >tiny.yaml <<'YAML'
seed: 7
model:      {family: roberta, layers: 2, hidden: 64, heads: 2, feed_forward: 128, positions: 32, dropout: 0.1}
data:       {corpus: corpus, sequence_tokens: 32, held_out: 0.1}
step:       {tokens: 896, slot_tokens: 128}
optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 4, total_steps: 400}
checkpoint: {every_steps: 0, keep: 3}
YAML
}
