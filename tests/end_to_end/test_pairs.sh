#!/usr/bin/env bash
# The head for pairs learns. In a made text each document keeps to one of eight subjects: a small BERT tells pairs of one
# held-out document from others (94 % can be told). With lines that say where they stand a small ALBERT tells their order. Both
# are far above the half that chance gives.
. "$(dirname "$0")/lib.sh" "$1"

# text PLACES: of 1,500 documents; with PLACES yes each line begins with a word for its place.
text() {
    /usr/bin/python3 - "$1" <<'PYTHON'
import random, sys
draws = random.Random(5)
syllables = ["ka", "lo", "mi", "ru", "te", "sa", "no", "vi", "pe", "du"]
words = sorted(a + b + c for a in syllables for b in syllables for c in syllables)
draws.shuffle(words)
subjects, places = [words[6 * i:6 * i + 6] for i in range(8)], words[48:56]
documents = []
for _ in range(1500):
    subject = subjects[draws.randrange(8)]
    lines = [" ".join(draws.choice(subject) for _ in range(6)) for _ in range(8)]
    if sys.argv[1] == "yes":
        lines = [f"{place} {line}" for place, line in zip(places, lines)]
    documents.append("\n".join(lines))
open("text.txt", "w").write("\n\n".join(documents) + "\n")
PYTHON
    rm -rf tokenizer corpus
    run_quietly tokenizer train text.txt --out tokenizer --vocabulary 400
    run_quietly corpus build text.txt --tokenizer tokenizer --out corpus
}

# learns FAMILY PAIRS RATE LEAST [words…]
learns() {
    local family=$1 pairs=$2 rate=$3 least=$4
    shift 4
    cat >pairs.yaml <<YAML
seed: 7
model:      {family: $family, layers: 1, hidden: 64, heads: 2, feed_forward: 128, dropout: 0, init_range: 0.1}
data:       {corpus: corpus, sequence_tokens: 64, held_out: 0.1, pairs: $pairs}
step:       {tokens: 1024, slot_tokens: 512}
optimizer:  {peak_rate: $rate, warmup_steps: 30, total_steps: 600}
checkpoint: {every_steps: 0}
YAML
    run_quietly train pairs.yaml --run $family --workers 2 "$@"
    run_quietly evaluate $family --corpus corpus --json
    local share
    share=$(member pair_accuracy)
    /usr/bin/python3 -c "import sys; sys.exit($share < $least)" || fail "$family: only $share of the pairs are right, expected $least"
    say "$family: $share of held-out pairs are right ($pairs)"
}
text no
learns bert next_sentence 2e-3 0.85 --set data.objective=dynamic_mask
text yes
learns albert sentence_order 2e-3 0.85 --set data.objective=dynamic_mask --set optimizer.name=adamw \
    --set model.embedding_width=48 --set model.share=none
