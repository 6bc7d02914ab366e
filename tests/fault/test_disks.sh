#!/usr/bin/env bash
# Disks as they come: slow, full, read-only, gone. test_disks.sh PROGRAM DISK_FAULT_LIBRARY. A slow one never gets values of a
# later step into a checkpoint; a full one leaves training in memory until there is room; each job says what it met, and ends
# with the same bits. Full and read-only disks need root, for a file system of their own.
library=$2
. "$(dirname "$0")/../parallel/lib.sh" "$1"
mounted=$scratch/disk
trap 'umount "$mounted" 2>/dev/null || true; umount "$mounted" 2>/dev/null || true; rm -rf "$scratch"' EXIT

steps=12
quick=(--set checkpoint.every_steps=4 --set restart.wait_seconds=0 --set restart.attempts=1)
train calm 2 $steps "${quick[@]}"
expected=$(fingerprint calm $steps)

# verified RUN: every checkpoint is whole, and holds the state of its step.
verified() {
    local step number
    for step in "$1"/checkpoints/step-*; do
        "$shardlm" checkpoint verify "$step" >out 2>&1 || fail "$1: $(cat out)"
        number=$((10#${step##*-}))
        [ "$("$shardlm" fingerprint "$step" | grep -o '[0-9a-f]\{32\}' | head -n 1)" = "$(fingerprint calm $number)" ] ||
            fail "$1: $step does not hold the state of its step"
    done
}

# ---- slow: each write of a checkpoint takes 3 ms longer, while steps go on
head -c 8 /dev/zero >count
DISK_FAULT_UNDER=$scratch/slow/checkpoints DISK_FAULT_KIND=slow DISK_FAULT_MS=3 DISK_FAULT_COUNT=$scratch/count LD_PRELOAD=$library \
    "$shardlm" train tiny.yaml --run slow --workers 2 --steps $steps "${quick[@]}" >slow.log 2>&1 || fail "slow: $(tail -n 3 slow.log)"
verified slow
same slow $steps "$expected" "on a slow disk; each checkpoint holds its step"

kept() { ls /dev/shm | grep "$(cut -d' ' -f1 "$1/memory")" || true; }

# code_of RUN words…: resumes; $code.
code_of() {
    local run=$1
    shift
    code=0
    "$shardlm" resume "$run" --workers 2 --steps $steps "$@" >>"$run.log" 2>&1 || code=$?
}

# ---- the run folder goes away in mid-run and does not come back: a checkpoint is written all the same
"$shardlm" train tiny.yaml --run gone --workers 2 --steps 400 --set checkpoint.every_steps=0 >gone.log 2>&1 &
job=$!
wait_for_step gone 7
mv gone aside
kill -TERM "$job"
code=0
wait "$job" || code=$?
[ $code -eq 75 ] || fail "a run folder that vanished: exit code $code: $(tail -n 3 gone.log)"
step=$(ls -d gone/checkpoints/step-*)
"$shardlm" checkpoint verify "$step" >out 2>&1 || fail "gone: $(cat out)"
grep -q '"event":"end"' gone/journal.jsonl || fail "gone: no journal was begun anew"
cp "$step/config.yaml" gone/
resume gone 1 400
train whole 1 400 --set checkpoint.every_steps=0
same gone 400 "$(fingerprint whole 400)" "after the run folder vanished"

# ---- a disk of its own
mkdir "$mounted"
if [ "$(id -u)" -ne 0 ] || ! mount -t tmpfs -o size=3m tmpfs "$mounted" 2>mount.err; then
    echo "slow and vanished disks are survived; full and read-only ones not tried: no right to mount ($(cat mount.err 2>/dev/null))"
    exit 77
fi

# ---- full from step 7 or so on, of 400: with go_on all steps are done, with stop those up to the first line that did not fit
for policy in go_on stop; do
    run=disk/$policy
    rm -rf "${mounted:?}"/*
    "$shardlm" train tiny.yaml --run $run --workers 2 --steps 400 --set checkpoint.every_steps=200 "${quick[@]:2}" \
        --set checkpoint.on_failure=$policy >$policy.log 2>&1 &
    job=$!
    wait_for_step $run 7
    head -c 10M /dev/zero >"$mounted/ballast" 2>/dev/null || true
    code=0
    wait "$job" || code=$?
    [ $code -eq 74 ] || fail "full disk, $policy: exit code $code: $(tail -n 3 $policy.log)"
    grep -q "\"$run/[^\"]*\".*No space left on device" $policy.log || fail "full disk, $policy: no reason: $(tail -n 5 $policy.log)"
    [ -n "$(kept $run)" ] || fail "full disk, $policy: the state is not in memory, and the disk has not got it"
    rm "$mounted/ballast"
    "$shardlm" resume $run --workers 3 --steps 400 >>$policy.log 2>&1 || fail "room again, $policy: $(tail -n 3 $policy.log)"
    grep -q '"from":"memory"' $run/journal.jsonl || fail "room again, $policy: not from memory"
    same $run 400 "$(fingerprint whole 400)" "full disk, $policy: exit code 74, gone on with from memory when there was room"
    "$shardlm" checkpoint verify $run/checkpoints/step-00000400 >out 2>&1 || fail "full disk, $policy: $(cat out)"
    [ -z "$(kept $run)" ] || fail "full disk, $policy: shared memory is left"
done

# ---- read-only in mid-run
rm -rf "${mounted:?}"/*
run=disk/read
"$shardlm" train tiny.yaml --run $run --workers 2 --steps 400 --set checkpoint.every_steps=0 "${quick[@]:2}" >read.log 2>&1 &
job=$!
wait_for_step $run 7
# A file system in use cannot be made so; a second view of it at the same place can.
mount --bind "$mounted" "$mounted"
mount -o remount,bind,ro "$mounted"
kill -TERM "$job"
code=0
wait "$job" || code=$?
[ $code -eq 74 ] || fail "read-only: exit code $code: $(tail -n 3 read.log)"
grep -q "Read-only file system" read.log || fail "read-only: no reason: $(tail -n 5 read.log)"
umount "$mounted"
"$shardlm" resume $run --workers 1 --steps 400 >>read.log 2>&1 || fail "writable again: $(tail -n 3 read.log)"
same $run 400 "$(fingerprint whole 400)" "read-only file system: exit code 74, nothing lost"
