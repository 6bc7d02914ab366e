#!/usr/bin/env bash
# A disk that fails: storage.sh PROGRAM DISK_FAULT_LIBRARY some|all. Each command that writes is run once to see which calls
# change its folder, then again and again with one of them failing ("some": each kind of call on each kind of file, "all":
# every call and every error). Afterwards: the command has failed with exit code 74, naming file and reason, and left
# nothing that looks finished, or it has done its work in spite of it; a training that failed goes on and ends with the
# same bits; every checkpoint that is listed is whole; nothing half-written and no shared memory is left.
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
library=$2 extent=$3
. "$source_folder/tests/parallel/lib.sh" "$1"
export OPENBLAS_NUM_THREADS=1
"$source_folder/tests/end_to_end/make_text.py" 1 60 .
cat >tiny.yaml <<'YAML'
seed: 7
model:      {family: roberta, layers: 1, hidden: 32, heads: 2, feed_forward: 64, positions: 32}
data:       {corpus: corpus, sequence_tokens: 32}
step:       {tokens: 256, slot_tokens: 128}
optimizer:  {name: adamw, peak_rate: 1e-3, warmup_steps: 4, total_steps: 6}
checkpoint: {every_steps: 2, keep: 1}
restart:    {attempts: 1, wait_seconds: 0}
YAML
runs=0
only=. # calls to fail: those that match

# with_fault FOLDER KIND NUMBER LASTS COMMAND…: $code, out, err, and log of the calls under FOLDER.
with_fault() {
    local folder=$1 kind=$2 number=$3 lasts=$4
    shift 4
    head -c 8 /dev/zero >count
    rm -f log
    code=0
    DISK_FAULT_UNDER=$scratch/$folder:$scratch/.$folder DISK_FAULT_COUNT=$scratch/count DISK_FAULT_LOG=$scratch/log DISK_FAULT_KIND=$kind \
        DISK_FAULT_AT=$number DISK_FAULT_LASTS=$lasts LD_PRELOAD=$library timeout 60 "$@" >out 2>err || code=$?
    runs=$((runs + 1))
}

# what_failed: the call, as the last lines of a complaint.
what() { echo "$1 at call $(grep "^$2 " calls) (exit code $code): $(tail -n 4 err)"; }

reason() {
    case $1 in
    ENOSPC) echo "No space left on device" ;;
    EIO) echo "Input/output error" ;;
    EROFS) echo "Read-only file system" ;;
    EDQUOT) echo "Disk quota exceeded" ;;
    esac
}

# named KIND: some line of err names a file and the reason.
named() { grep -q "\"[^\"]*\".*$(reason "$1")" err; }

# chosen FOLDER: numbers of the calls to fail, from the file `calls` ("NUMBER CALL PATH").
chosen() {
    if [ "$extent" = all ]; then
        cut -d' ' -f1 calls
    else
        # One for each kind of call on each kind of file: numbers are alike, and so are parts, and the small files of a checkpoint.
        sed "s|$scratch/||; s/tmp-[0-9]*/tmp/; s/[0-9]\{8\}/N/; s|parts/.*h5|parts/x|; s|partial/.*tmp|partial/x|; s|removed/.*|removed/x|" calls |
            awk '!seen[$2 $3]++ {print $1}'
    fi
}

left() {
    find . \( -name '*.tmp-*' -o -name '*.partial' -o -name '.step-*' -o -name '*.removed' \) | grep -v '^\./failed' || true
}

kinds=(ENOSPC EIO EROFS EDQUOT)

# sweep FOLDER NAME CHECK COMMAND…: CHECK judges what a failed or successful command left.
sweep() {
    local folder=$1 name=$2 check=$3 number kind i=0
    shift 3
    rm -rf "$folder"
    with_fault "$folder" none 0 0 "$@"
    [ $code -eq 0 ] || fail "$name: $(tail -n 3 err)"
    sort -n log | grep -E "$only" >calls || true
    [ -s calls ] || fail "$name: the library saw no such call: is it loaded?"
    rm -rf whole
    cp -r "$folder" whole
    for number in $(chosen); do
        local list=("${kinds[i++ % ${#kinds[@]}]}")
        [ "$extent" != all ] || list=("${kinds[@]}" short)
        for kind in "${list[@]}"; do
            rm -rf "$folder" "$folder".*
            with_fault "$folder" "$kind" "$number" $((number % 2)) "$@"
            $check "$folder" "$kind" "$number"
        done
    done
    echo "$name: $(wc -l <calls) calls, each survived or reported"
}

# keep FOLDER: as it was made without a fault.
keep() {
    rm -rf "$1"
    mv whole "$1"
}

# One folder, made whole or not at all.
check_folder() {
    if [ $code -eq 0 ]; then
        diff -r "$1" whole >/dev/null || fail "another result after $(what "$2" "$3")"
    else
        [ $code -eq 74 ] && named "$2" || fail "no reason after $(what "$2" "$3")"
        # What could not be cleared away afterwards makes a failure too.
        [ ! -e "$1" ] || diff -r "$1" whole >/dev/null || fail "$(ls -R "$1" | head -n 20) is left after $(what "$2" "$3")"
    fi
    [ -z "$(left)" ] || fail "$(left) is left after $(what "$2" "$3")"
}

check_run() {
    local run=$1 step bits
    [ $code -eq 0 ] || [ $code -eq 74 ] || fail "$(what "$2" "$3")"
    [ $code -eq 0 ] || named "$2" || fail "no reason after $(what "$2" "$3")"
    for step in "$run"/checkpoints/step-*; do
        [ ! -e "$step" ] || "$shardlm" checkpoint verify "$step" >verified 2>&1 || fail "$(cat verified) after $(what "$2" "$3")"
    done
    if [ $code -ne 0 ]; then
        if [ -e "$run/config.yaml" ]; then
            "$shardlm" resume "$run" --workers 2 >>out 2>&1 || fail "resume: $(tail -n 3 out) after $(what "$2" "$3")"
        else
            "$shardlm" train tiny.yaml --run "$run" --workers 1 >>out 2>&1 || fail "again: $(tail -n 3 out) after $(what "$2" "$3")"
        fi
    fi
    # A journal that could not be written lacks lines; what it has is right.
    for ((step = 1; step <= 6; step++)); do
        bits=$(fingerprint "$run" $step || true)
        [ -z "$bits" ] || [ "$bits" = "${calm[step]}" ] || fail "step $step has other bits after $(what "$2" "$3")"
    done
    bits=$("$shardlm" fingerprint "$run/checkpoints/step-00000006" | grep -o '[0-9a-f]\{32\}' | head -n 1)
    [ "$bits" = "${calm[6]}" ] || fail "the last checkpoint has other bits after $(what "$2" "$3")"
    [ -z "$(left | grep -v '\.removed')" ] || fail "$(left) is left after $(what "$2" "$3")"
    [ -z "$(ls /dev/shm | grep "$(cut -d' ' -f1 "$run/memory")" || true)" ] || fail "shared memory is left after $(what "$2" "$3")"
}

sweep tokenizer "tokenizer train" check_folder "$shardlm" tokenizer train --vocabulary 400 --out tokenizer text.txt
keep tokenizer
sweep corpus "corpus build" check_folder "$shardlm" corpus build --tokenizer tokenizer --out corpus --threads 1 text.txt
keep corpus
# bits_of RUN: its fingerprints are those that others must have.
bits_of() {
    for ((step = 1; step <= 6; step++)); do
        calm[step]=$(fingerprint "$1" $step)
    done
}
train calm 1 6
bits_of calm
sweep model "export" check_folder "$shardlm" export calm --out model
keep model
sweep checkpoint "import" check_folder "$shardlm" import model --out checkpoint
sweep run "train" check_run "$shardlm" train tiny.yaml --run run --workers 1

# Going back before a bad slot: what that writes beside the rest.
export SHARDLM_SPOIL=nan:5:1
words=(--set numerics.on_bad_slot=rollback --set numerics.rollback_steps=2 --set checkpoint.keep=9 --set restart.attempts=3)
train back 1 6 "${words[@]}"
bits_of back
only='/abandoned|/skips\.json'
sweep run "rollback" check_run "$shardlm" train tiny.yaml --run run --workers 1 "${words[@]}"
echo "$runs runs"
