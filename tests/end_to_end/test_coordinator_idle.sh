#!/usr/bin/env bash
# The coordinator waits without working: its processor time between two steps of a run, as the system counts it, is below 2 % of
# the time that passed (the design says 1 %; the other half is for a loaded machine).
. "$(dirname "$0")/lib.sh" "$1"

sed -i 's/hidden: 64, heads: 2, feed_forward: 128/hidden: 128, heads: 2, feed_forward: 512/; s/tokens: 896, slot_tokens: 128/tokens: 8192, slot_tokens: 512/' tiny.yaml

# ticks PROCESS: user and system time, in clock ticks; the name in parentheses may hold blanks.
ticks() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

"$shardlm" train tiny.yaml --run idle --workers 2 --steps 100000 --set optimizer.total_steps=100000 >idle.log 2>&1 &
job=$!
trap '{ kill -INT $job && wait $job; } 2>/dev/null || true; rm -rf "$scratch"' EXIT
wait_for_step idle 3
coordinator=$(rank_process idle 0)
began_ticks=$(ticks "$coordinator")
began=$(date +%s%N)
first=$(grep -c '"loss"' idle/journal.jsonl)
while [ $(($(date +%s%N) - began)) -lt 10000000000 ]; do
    wait_for_step idle $(($(grep -c '"loss"' idle/journal.jsonl) + 1))
done
last=$(grep -c '"loss"' idle/journal.jsonl)
spent_ticks=$(($(ticks "$coordinator") - began_ticks))
passed_ms=$((($(date +%s%N) - began) / 1000000))
[ "$last" -gt $((first + 5)) ] || fail "only $((last - first)) steps in $passed_ms ms"
awk -v ticks="$spent_ticks" -v hz="$(getconf CLK_TCK)" -v ms="$passed_ms" -v steps=$((last - first)) 'BEGIN {
    share = ticks / hz / (ms / 1000)
    printf "coordinator: %.2f %% of a core over %.1f s and %d steps\n", share * 100, ms / 1000, steps
    exit !(share < 0.02)
}' || fail "the coordinator is busy"
kill -INT $job
code=0
wait $job || code=$?
[ $code -eq 75 ] || fail "exit code $code after SIGINT: $(tail -n 3 idle.log)"
