#!/usr/bin/env bash
# A running job asked from another shell: top and ctl see it, checkpoint it, pause it, stop it, and not one bit changes. The key
# file is the owner's alone, and nothing that a run writes can be changed by others, whatever the umask.
. "$(dirname "$0")/lib.sh" "$1"

steps=200
train calm 2 $steps
expected=$(fingerprint calm $steps)
[ ! -e calm/control.json ] || fail "control.json is left after the end"

# value KEY JSON: the number or word behind the key's first place.
value() {
    grep -o "\"$1\": *[^,}]*" <<<"$2" | head -n 1 | sed 's/.*: *//; s/"//g'
}

umask 000
"$shardlm" train tiny.yaml --run live --workers 2 --steps $steps >live.log 2>&1 &
job=$!
trap '{ kill -INT $job && wait $job; } 2>/dev/null || true; rm -rf "$scratch"' EXIT
wait_for_step live 3
[ "$(stat -c %a live/control.json)" = 600 ] || fail "control.json has mode $(stat -c %a live/control.json)"
"$shardlm" ctl live pause >pause.txt || fail "ctl pause"
paused=$(value step "$("$shardlm" ctl live status --json)")
"$shardlm" top live --once >top.txt || fail "top --once"
grep -q "^live: paused$" top.txt && grep -q " tokens/s" top.txt || fail "top shows: $(cat top.txt)"
[ "$(grep -c ' \[[#.]*\] ' top.txt)" -ge 2 ] || fail "top shows no two workers: $(cat top.txt)"
"$shardlm" top live --once --json | grep -q '"losses": \[' || fail "top --json"
now=$(value step "$("$shardlm" ctl live status --json)")
[ "$now" -le $((paused + 1)) ] || fail "step $now while paused at $paused"
"$shardlm" ctl live checkpoint >/dev/null || fail "ctl checkpoint"
[ -n "$(ls -d live/checkpoints/step-* 2>/dev/null)" ] || fail "no checkpoint after ctl checkpoint"
"$shardlm" ctl live resume >/dev/null || fail "ctl resume"
wait_for_step live $((now + 5))
"$shardlm" ctl live stop >/dev/null || fail "ctl stop"
code=0
wait "$job" || code=$?
[ $code -eq 75 ] || fail "ctl stop: exit code $code"
code=0
"$shardlm" ctl live status >ended.txt 2>&1 || code=$?
[ $code -eq 2 ] && grep -q 'no job works on run "live"' ended.txt || fail "ctl after the end: $code $(cat ended.txt)"
"$shardlm" top live --once | grep -q "^live: no job works on it$" || fail "top after the end"
open=$(find live -perm /022)
[ -z "$open" ] || fail "others may write: $open"
resume live 3 $steps
same live $steps "$expected" "paused, checkpointed, stopped and watched from another shell"
