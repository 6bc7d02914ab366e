#!/usr/bin/env bash
# The number of workers changes while a run goes on, and one worker is slow: no step is lost or done twice, not one bit changes.
. "$(dirname "$0")/lib.sh" "$1"

job=
slower=
trap '{ kill $slower; kill -INT $job && wait $job; } 2>/dev/null || true; rm -rf "$scratch"' EXIT

steps=60
train calm 2 $steps
expected=$(fingerprint calm $steps)

# wait_for_workers RUN COUNT: until a job of so many workers has begun; ends after two minutes.
wait_for_workers() {
    local i
    for ((i = 0; i < 1200; i++)); do
        if grep '"workers":' "$1/journal.jsonl" | grep '"last_step"' | tail -n 1 | grep -q "\"workers\":$2,"; then return 0; fi
        sleep 0.1
    done
    fail "run $1 did not go on with $2 workers: $(tail -n 3 "$1.log")"
}

# change RUN COUNT: asks for so many workers and waits until they work.
change() {
    "$shardlm" ctl "$1" workers "$2" >ctl.txt 2>&1 || fail "ctl $1 workers $2: $(cat ctl.txt)"
    wait_for_workers "$1" "$2"
}

# ends RUN: the job ends well, with each step once, in order.
ends() {
    wait "$job" || fail "$1 ended badly: $(tail -n 5 "$1.log")"
    job=
    local seen
    seen=$(grep '"seconds"' "$1/journal.jsonl" | grep -o '"step":[0-9]*' | cut -d: -f2 | tr '\n' ' ')
    [ "$seen" = "$(seq -s ' ' 1 $steps) " ] || fail "steps of $1: $seen"
    all_equal "$1" $steps
}

"$shardlm" train tiny.yaml --run live --workers 2 --steps $steps >live.log 2>&1 &
job=$!
wait_for_step live 2
for refused in 0 65537 many; do
    code=0
    "$shardlm" ctl live workers $refused >ctl.txt 2>&1 || code=$?
    [ $code -eq 2 ] || fail "ctl workers $refused: exit code $code, $(cat ctl.txt)"
done
"$shardlm" ctl live pause >/dev/null
change live 3
[ "$(grep -c '"event":"resize"' live/journal.jsonl)" -eq 1 ] || fail "no resize in the journal"
grep '"last_step"' live/journal.jsonl | tail -n 1 | grep -q '"from":"memory"' || fail "not from memory: $(tail -n 2 live/journal.jsonl)"
change live 1
ends live
same live $steps "$expected" "2, then 3, then 1 worker"

# Nodes that divide weights cannot go on in memory with other owners: they do from the checkpoint that was written first.
"$shardlm" train tiny.yaml --run nodes --workers 2 --steps $steps --set shard.simulate_nodes=2 --set shard.stage=3 >nodes.log 2>&1 &
job=$!
wait_for_step nodes 2
code=0
"$shardlm" ctl nodes workers 1 >ctl.txt 2>&1 || code=$?
[ $code -eq 2 ] && grep -q "from 2 to" ctl.txt || fail "one worker on two nodes: $code $(cat ctl.txt)"
"$shardlm" ctl nodes pause >/dev/null
change nodes 4
ends nodes
same nodes $steps "$expected" "2 nodes, stage 3, 2 then 4 workers"

# Workers come and go by pipelines.
"$shardlm" train tiny.yaml --run teams --workers 4 --steps $steps --set shard.pipeline=2 --set lease.mode=dynamic >teams.log 2>&1 &
job=$!
wait_for_step teams 2
"$shardlm" ctl teams pause >/dev/null
change teams 2
ends teams
same teams $steps "$expected" "pipelines of 2, 4 then 2 workers"

# By hand under mpirun nobody would start it again.
root=
[ "$(id -u)" -ne 0 ] || root=--allow-run-as-root
mpirun $root --oversubscribe -n 3 "$shardlm" train tiny.yaml --run hand --steps 400 >hand.log 2>&1 &
job=$!
wait_for_step hand 2
code=0
"$shardlm" ctl hand workers 3 >ctl.txt 2>&1 || code=$?
[ $code -eq 2 ] && grep -q "was not started by shardlm train or resume" ctl.txt || fail "by hand: $code $(cat ctl.txt)"
"$shardlm" ctl hand stop >/dev/null
wait "$job" || true
job=

# One of three workers runs a third of the time: its slots move to the others. Whoever asks gets the next of 280 slots, which
# take several of its turns: in a step that fits into one turn no worker would be slow.
sed -i 's/tokens: 896/tokens: 35840/' tiny.yaml
steps=20
train even 3 $steps
"$shardlm" train tiny.yaml --run slow --workers 3 --steps $steps --set lease.mode=dynamic >slow.log 2>&1 &
job=$!
wait_for_step slow 1
slowed slow 3
ends slow
same slow $steps "$(fingerprint even $steps)" "one worker slowed to a third"
echo "the slow worker computed $own of $all slots that were looked at"
[ $all -gt 0 ] && [ $((4 * own)) -lt $all ] || fail "the slow worker kept $own of $all slots: a quarter or more"
