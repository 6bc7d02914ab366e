#!/usr/bin/env bash
# SIGTERM, SIGUSR1 and SIGINT, once and twice, to `shardlm train` and to an mpirun that was started by hand: exit codes, what is
# saved, and the same bits after resume.
. "$(dirname "$0")/../parallel/lib.sh" "$1"

steps=400
train calm 2 $steps
expected=$(fingerprint calm $steps)
quick=(--set checkpoint.every_steps=0)

start() {
    "$shardlm" train tiny.yaml --run "$1" --workers 2 "${quick[@]}" >"$1.log" 2>&1 &
    job=$!
    wait_for_step "$1" 7
}

# ended RUN CODE: within 20 s.
ended() {
    local code=0
    timeout 20 tail --pid="$job" -f /dev/null || fail "$1 did not end within 20 s"
    wait "$job" || code=$?
    [ $code -eq "$2" ] || fail "$1: exit code $code, expected $2: $(tail -n 3 "$1.log")"
}

kept() { ls /dev/shm | grep "$(cut -d' ' -f1 "$1/memory")" || true; }

for signal in TERM USR1 INT; do
    run=once-$signal
    start $run
    kill -$signal "$job"
    ended $run 75
    [ -n "$(ls $run/checkpoints)" ] || fail "$run: no checkpoint"
    [ -z "$(kept $run)" ] || fail "$run: memory is left although a checkpoint holds the state"
    grep -q '"event":"end".*stopped by request' $run/journal.jsonl || fail "$run: the journal has no end"
    resume $run 3 $steps
    same $run $steps "$expected" "SIG$signal once: exit code 75, a checkpoint"
done

start twice
kill -INT "$job"
kill -INT "$job"
code=0
timeout 20 tail --pid="$job" -f /dev/null || fail "twice: did not end within 20 s"
wait "$job" || code=$?
# The first may have been obeyed before the second came.
[ $code -eq 1 ] || [ $code -eq 75 ] || fail "SIGINT twice: exit code $code: $(tail -n 3 twice.log)"
resume twice 1 $steps
same twice $steps "$expected" "SIGINT twice: exit code $code, nothing lost"

# mpirun by hand.
words=(--quiet --oversubscribe --bind-to none --mca btl_vader_single_copy_mechanism none)
[ "$(id -u)" -ne 0 ] || words+=(--allow-run-as-root)
for signal in USR1 TERM; do
    run=hand-$signal
    mpirun "${words[@]}" -n 3 "$shardlm" train tiny.yaml --run $run "${quick[@]}" >$run.log 2>&1 &
    job=$!
    wait_for_step $run 7
    kill -$signal "$job"
    code=0
    timeout 20 tail --pid="$job" -f /dev/null || fail "$run did not end within 20 s"
    wait "$job" || code=$?
    [ $signal != USR1 ] || [ $code -eq 75 ] || fail "$run: exit code $code, expected 75: $(tail -n 3 $run.log)"
    [ $code -ne 0 ] || fail "$run: exit code 0"
    for ((i = 0; i < 100; i++)); do
        pgrep -f -- "--run $run " >/dev/null || break
        sleep 0.1
    done
    resume $run 2 $steps
    same $run $steps "$expected" "SIG$signal to mpirun by hand: exit code $code, nothing lost"
done
for run in once-* twice hand-*; do
    [ ! -d "$run" ] || [ -z "$(kept "$run")" ] || fail "$run: shared memory is left"
done
