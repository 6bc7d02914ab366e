#!/usr/bin/env bash
# A stopped process: within the limit every worker's state is reported, the job ends and starts again, and the bits are those of a
# run that nobody disturbed.
. "$(dirname "$0")/../parallel/lib.sh" "$1"

steps=400
limits=(--set lease.silence_seconds=2 --set lease.heartbeat_seconds=0.2 --set lease.wait_seconds=4 --set checkpoint.every_steps=50)
train calm 2 $steps "${limits[@]}"
expected=$(fingerprint calm $steps)

# hang RUN RANK: stops it in mid-run; the supervisor must end with 0 within a minute.
hang() {
    local code=0
    "$shardlm" train tiny.yaml --run "$1" --workers 2 --steps $steps "${limits[@]}" >"$1.log" 2>&1 &
    job=$!
    wait_for_step "$1" 5
    kill -STOP "$(rank_process "$1" "$2")"
    timeout 60 tail --pid="$job" -f /dev/null || fail "$1 hangs: $(tail -n 5 "$1.log")"
    wait "$job" || code=$?
    [ $code -eq 0 ] || fail "$1: exit code $code: $(tail -n 5 "$1.log")"
    grep -q '"event":"restart"' "$1/journal.jsonl" || fail "$1: nothing was started again"
    same "$1" $steps "$expected" "$3"
}

hang worker 2 "a worker stopped, the job started again"
for index in 0 1; do
    grep -Eq "worker $index \(host [^ ]+, process [0-9]+\): [a-z]+, step [0-9]+, slot -?[0-9]+, silent for [0-9]+ s" worker.log ||
        fail "the report does not name worker $index: $(cat worker.log)"
done
grep -Eq "no sign of life for 2 s: worker 1 " worker.log || fail "the report does not say who hangs: $(cat worker.log)"
grep -q '"event":"failure".*no sign of life' worker/journal.jsonl || fail "the journal does not have the reason"

hang coordinator 0 "the coordinator stopped, the job started again"
grep -Eq "waited [0-9]+ s for" coordinator.log || fail "nobody said whom it waited for: $(cat coordinator.log)"
