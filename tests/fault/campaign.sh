#!/usr/bin/env bash
# A campaign of SIGKILLs: campaign.sh PROGRAM RANDOM_KILLS POINTS [SEED]. A run is trained again and again; workers, the
# coordinator, mpirun and the supervisor are killed at random times, and a worker or the coordinator at each of the first POINTS
# named points ("all": every one) of step and checkpoint. The supervisor restarts the job; where it is killed itself, `resume`
# goes on with another number of workers. Every fingerprint in every journal must be that of a run that nobody disturbed, and
# nothing may be left: no process, no shared memory, no temporary folder.
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$source_folder/tests/parallel/lib.sh" "$1"
random_kills=$2 points=$3 seed=${4:-1}
RANDOM=$seed
steps=150

mapfile -t names < <(sed -n 's/.*X([A-Z_]*, "\([a-z-]*\)").*/\1/p' "$source_folder/base/fault.h")
[ ${#names[@]} -ge 25 ] || fail "base/fault.h names only ${#names[@]} points"
[ "$points" = all ] && points=${#names[@]}

settings=(--set checkpoint.every_steps=5 --set restart.wait_seconds=0.1 --set restart.attempts=20)
train calm 2 $steps "${settings[@]}"
for ((step = 1; step <= steps; step++)); do
    calm[step]=$(fingerprint calm $step)
done

declare -A killed=([worker]=0 [coordinator]=0 [mpirun]=0 [supervisor]=0 [point]=0)
memories=()
remember() { if [ -s "$1/memory" ]; then memories+=("$(cut -d' ' -f1 "$1/memory")"); fi; }

# last_step RUN: newest in its journal.
last_step() { grep -o '"step":[0-9]*,"loss"' "$1/journal.jsonl" 2>/dev/null | tail -n 1 | grep -o '[0-9]*' || echo 0; }

# begin RUN WORKERS: train or resume in the background; $job is the supervisor's process.
begin() {
    if [ -e "$1/config.yaml" ]; then
        "$shardlm" resume "$1" --workers "$2" --steps $steps >>"$1.log" 2>&1 &
    else
        "$shardlm" train tiny.yaml --run "$1" --workers "$2" --steps $steps "${settings[@]}" >>"$1.log" 2>&1 &
    fi
    job=$!
}

# victim RUN KIND: its process, or nothing if there is none just now.
victim() {
    case $2 in
    worker) (rank_process "$1" $((1 + RANDOM % 2))) 2>/dev/null || true ;;
    coordinator) (rank_process "$1" 0) 2>/dev/null || true ;;
    mpirun) pgrep -P "$job" -x mpirun || true ;;
    supervisor) echo "$job" ;;
    esac
}

# strike RUN: kills one at random at a random moment of the next 1.5 s; fails if the run was over by then.
strike() {
    local kinds=(worker worker coordinator mpirun supervisor) kind process mpirun
    kind=${kinds[RANDOM % ${#kinds[@]}]}
    sleep "$((RANDOM % 2)).$((RANDOM % 5))"
    process=$(victim "$1" $kind)
    mpirun=$(pgrep -P "$job" -x mpirun || true)
    [ -n "$process" ] && kill -9 "$process" 2>/dev/null || return 1
    killed[$kind]=$((killed[$kind] + 1))
    if [ $kind = supervisor ]; then
        wait "$job" 2>/dev/null || true
        # Half of the time the job goes on alone for a while; then it is ended, or it ends itself.
        [ $((RANDOM % 2)) -eq 0 ] || sleep 1
        if [ -n "$mpirun" ]; then kill -9 "$mpirun" 2>/dev/null || true; fi
        begin "$1" $((1 + RANDOM % 3))
    fi
}

# finish RUN: the supervisor ends with 0, every fingerprint is right.
finish() {
    local code=0 step line
    wait "$job" || code=$?
    [ $code -eq 0 ] || fail "$1: exit code $code: $(tail -n 5 "$1.log")"
    [ "$(last_step "$1")" -eq $steps ] || fail "$1 ended at step $(last_step "$1")"
    while read -r step line; do
        [ "$line" = "${calm[step]}" ] || fail "$1: step $step has $line, expected ${calm[step]}"
    done < <(sed -n 's/^{"step":\([0-9]*\),"loss".*"fingerprint":"\([0-9a-f]*\)".*/\1 \2/p' "$1/journal.jsonl")
    [ "$("$shardlm" fingerprint "$1" | grep -o '[0-9a-f]\{32\}' | head -n 1)" = "${calm[steps]}" ] || fail "$1: checkpoint"
    remember "$1"
    [ -z "$(find "$1" -name '*.partial' -o -name '*.tmp-*')" ] || fail "$1: left $(find "$1" -name '*.partial' -o -name '*.tmp-*')"
}

for ((i = 0; i < points; i++)); do
    name=${names[i]} who=1 step=7
    case $name in
    step-commanded | step-journaled) who=coordinator ;;
    step-ready | step-done | publish-*) who=0 ;; # the node's first worker alone comes there
    esac
    case $name in save-* | publish-*) step=10 ;; esac
    export SHARDLM_FAULT="$name:$step:$who"
    begin "point-$name" 2
    unset SHARDLM_FAULT
    finish "point-$name"
    grep -q '"event":"restart"' "point-$name/journal.jsonl" || fail "nobody was killed at $name"
    killed[point]=$((killed[point] + 1))
done

strikes() { echo $((killed[worker] + killed[coordinator] + killed[mpirun] + killed[supervisor])); }
for ((round = 1; $(strikes) < random_kills; round++)); do
    [ $round -le $((random_kills + 10)) ] || fail "too few kills hit: $(strikes) of $random_kills"
    run=round-$round
    begin $run $((1 + RANDOM % 3))
    while [ "$(strikes)" -lt "$random_kills" ] && strike $run; do
        remember $run
    done
    finish $run
done

# What is left has moments to go. Other jobs of this machine are none of our business.
leftover() {
    local memory process folder
    for process in $(pgrep -x shardlm); do
        [ "$(readlink "/proc/$process/cwd")" != "$scratch" ] || echo "process $process"
    done
    for memory in "${memories[@]}"; do ls /dev/shm | grep -- "$memory" || true; done
    for folder in $(find /dev/shm -maxdepth 1 -name 'shardlm-mpi-*' -newer calm.log); do
        pgrep -f -- "$folder" >/dev/null || echo "$folder"
    done
}
for ((i = 0; i < 50; i++)); do
    left=$(leftover)
    [ -n "$left" ] || break
    sleep 0.2
done
[ -z "$left" ] || fail "left behind: $left"

restarts=$(cat ./*/journal.jsonl | grep -c '"event":"restart"' || true)
memory=$(cat ./*/journal.jsonl | grep -c '"from":"memory"' || true)
checkpoint=$(cat ./*/journal.jsonl | grep -c '"from":"checkpoint"' || true)
echo "$(strikes) random kills (workers ${killed[worker]}, coordinator ${killed[coordinator]}, mpirun ${killed[mpirun]}," \
    "supervisor ${killed[supervisor]}) and ${killed[point]} at named points, seed $seed: the same fingerprints," \
    "$restarts restarts by the supervisor; $memory starts from memory, $checkpoint from a checkpoint; nothing left"
