#!/usr/bin/env bash
# kill -9 of a worker, of the coordinator, of mpirun and of the supervisor in the middle of a run that is not restarted by itself;
# resumed on other numbers of workers; the final weights are those of a run that was never touched. SIGINT: checkpoint, exit code 75.
. "$(dirname "$0")/lib.sh" "$1"

steps=60
train calm 2 $steps --set checkpoint.every_steps=5
expected=$(fingerprint calm $steps)

# start RUN WORKERS [words…]: a long run in the background; $job is the supervisor's process.
start() {
    "$shardlm" train tiny.yaml --run "$1" --workers "$2" --set checkpoint.every_steps=5 --set restart.attempts=0 "${@:3}" >"$1.log" 2>&1 &
    job=$!
}

# ended RUN EXIT: the supervisor has ended with that code ("any": not 0) and no rank is left, within 20 s.
ended() {
    local code=0 i
    wait "$job" || code=$?
    if [ "$2" = any ]; then [ $code -ne 0 ] || fail "$1: exit code 0 after a kill"; else [ $code -eq "$2" ] || fail "$1: exit code $code, expected $2: $(tail -n 3 "$1.log")"; fi
    for ((i = 0; i < 200; i++)); do
        if ! pgrep -f -- "--run $1 " >/dev/null; then return 0; fi
        sleep 0.1
    done
    fail "$1: processes are left: $(pgrep -a -f -- "--run $1 ")"
}

for victim in worker coordinator mpirun supervisor; do
    start $victim 3
    wait_for_step $victim 12
    case $victim in
    worker) kill -9 "$(rank_process worker 2)" ;;
    coordinator) kill -9 "$(rank_process coordinator 0)" ;;
    mpirun) kill -9 "$(pgrep -P "$job" -x mpirun)" ;;
    supervisor)
        mpirun=$(pgrep -P "$job" -x mpirun)
        kill -9 "$job"
        kill -9 "$mpirun"
        ;;
    esac
    ended $victim any
    resume $victim 2 $steps
    same $victim $steps "$expected" "$victim killed, resumed on 2 workers"
    all_equal $victim 12
done

# Killed before the first checkpoint: it begins again.
start early 2
wait_for_step early 1
kill -9 "$(rank_process early 1)"
ended early any
rm -rf early/checkpoints/step-* # as if none had been written yet
resume early 3 $steps
same early $steps "$expected" "killed before the first checkpoint"

# Ctrl-C: a checkpoint at the step boundary, exit code 75.
start stopped 2
wait_for_step stopped 7
kill -INT "$job"
ended stopped 75
last=$(grep -o '"step":[0-9]*,"loss"' stopped/journal.jsonl | tail -n 1 | grep -o '[0-9]*')
[ -d "stopped/checkpoints/step-$(printf %08d "$last")" ] || fail "no checkpoint of step $last after SIGINT"
resume stopped 1 $steps
same stopped $steps "$expected" "stopped by SIGINT at step $last, resumed on 1 worker"

# A suspended machine: all processes stand still for longer than a worker may be silent, and go on.
start asleep 2 --steps $steps --set lease.silence_seconds=1 --set lease.heartbeat_seconds=0.2
wait_for_step asleep 3
mapfile -t processes < <(pgrep -f -- "--run asleep ")
kill -STOP "${processes[@]}"
sleep 2.5
kill -CONT "${processes[@]}"
ended asleep 0
same asleep $steps "$expected" "suspended for longer than silence_seconds"

# Two jobs on one run: the second is refused and leaves the first alone.
start held 2
wait_for_step held 3
code=0
"$shardlm" resume held --workers 1 >second.log 2>&1 || code=$?
[ $code -eq 2 ] || fail "a second job on a held run: exit code $code: $(cat second.log)"
grep -q "another job works on run" second.log || fail "second job: $(cat second.log)"
kill -INT "$job"
ended held 75
echo "refused: a second job on the same run"

for memory in */memory; do
    [ -z "$(ls /dev/shm | grep "$(cut -d' ' -f1 "$memory")" || true)" ] || fail "shared memory of $memory is left"
done
