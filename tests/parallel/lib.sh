# Shared by the tests that run real jobs: a scratch folder, runs, fingerprints. Source it with the program as $1.
set -euo pipefail
shardlm=$1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/shardlm-parallel-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cat >tiny.yaml <<'YAML'
seed: 7
model:      {family: roberta, layers: 2, hidden: 64, heads: 2, feed_forward: 128, positions: 32, dropout: 0.1, vocabulary: 500}
data:       {corpus: synthetic, sequence_tokens: 32}
step:       {tokens: 896, slot_tokens: 128}
optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 4, total_steps: 400}
checkpoint: {every_steps: 0, keep: 3}
YAML

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# fingerprint RUN STEP: as the journal has it (the last time, when a step was done twice).
fingerprint() {
    grep "\"step\":$2," "$1/journal.jsonl" | grep -o '"fingerprint":"[0-9a-f]*"' | tail -n 1 | cut -d'"' -f4
}

# all_equal RUN STEP: every line of that step in the journal has one fingerprint (a step done again gives the same bits).
all_equal() {
    local count
    count=$(grep "\"step\":$2," "$1/journal.jsonl" | grep -o '"fingerprint":"[0-9a-f]*"' | sort -u | wc -l)
    [ "$count" -eq 1 ] || fail "run $1 has $count fingerprints for step $2"
}

# train RUN WORKERS STEPS [words…]: must succeed.
train() {
    local run=$1 workers=$2 steps=$3
    shift 3
    "$shardlm" train tiny.yaml --run "$run" --workers "$workers" --steps "$steps" "$@" >"$run.log" 2>&1 ||
        fail "train $run: $(tail -n 5 "$run.log")"
}

# resume RUN WORKERS STEPS [words…]: must succeed.
resume() {
    local run=$1 workers=$2 steps=$3
    shift 3
    "$shardlm" resume "$run" --workers "$workers" --steps "$steps" "$@" >>"$run.log" 2>&1 ||
        fail "resume $run: $(tail -n 5 "$run.log")"
}

# same RUN STEP EXPECTED WHAT
same() {
    local got
    got=$(fingerprint "$1" "$2")
    [ -n "$got" ] || fail "$4: no fingerprint of step $2 in the journal"
    [ "$got" = "$3" ] || fail "$4: step $2 has $got, expected $3"
    echo "same bits: $4"
}

# wait_for_step RUN STEP: until the journal has it; ends after a minute.
wait_for_step() {
    local i
    for ((i = 0; i < 600; i++)); do
        if grep -qs "\"step\":$2," "$1/journal.jsonl"; then return 0; fi
        sleep 0.1
    done
    fail "run $1 did not reach step $2 within a minute: $(tail -n 3 "$1.log")"
}

# rank_process RUN RANK: process id of a rank of the job that works on RUN.
rank_process() {
    local process
    for process in $(pgrep -x shardlm); do
        if grep -sqzxF -- "$1" "/proc/$process/cmdline" &&
            grep -sqzxF "OMPI_COMM_WORLD_RANK=$2" "/proc/$process/environ"; then
            echo "$process"
            return 0
        fi
    done
    fail "run $1 has no rank $2"
}

# slowed RUN RANK: the rank runs a third of the time until the job ends; `own` of `all` slots that were looked at meanwhile are its.
slowed() {
    local process slots count
    process=$(rank_process "$1" "$2")
    (while kill -STOP "$process"; do
        sleep 0.02
        kill -CONT "$process"
        sleep 0.01
    done) 2>/dev/null &
    slower=$!
    own=0
    all=0
    while "$shardlm" ctl "$1" status --json >status.json 2>/dev/null; do
        mapfile -t slots < <(grep -o '"slots": *[0-9]*' status.json | grep -o '[0-9]*$')
        [ ${#slots[@]} -lt "$2" ] || own=$((own + slots[$2 - 1]))
        for count in "${slots[@]}"; do all=$((all + count)); done
        sleep 0.05
    done
}
