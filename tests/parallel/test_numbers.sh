#!/usr/bin/env bash
# Bad numbers: a slot that is not finite or a loss spike stops the job, is skipped, or sends the run back to a checkpoint, with the
# same bits on any number of workers and across a resume; slots computed twice find a broken worker; a segment is proved by replay.
. "$(dirname "$0")/lib.sh" "$1"

printf 'number one\n\nthe harbour wakes before the town does\n\n' >words.txt
for ((i = 0; i < 400; i++)); do printf 'document %d tells of light on the river and of old bridges\n\n' "$i"; done >>words.txt
"$shardlm" tokenizer train --vocabulary 300 --out tokenizer words.txt >tools.log 2>&1 || fail "tokenizer: $(cat tools.log)"
"$shardlm" corpus build --tokenizer tokenizer --out corpus words.txt >tools.log 2>&1 || fail "corpus: $(cat tools.log)"
sed -i 's/corpus: synthetic/corpus: corpus/; s/vocabulary: 500/vocabulary: 0/' tiny.yaml

# refused RUN CODE WORDS…: train must end with that exit code.
refused() {
    local run=$1 expected=$2 code=0
    shift 2
    "$shardlm" train tiny.yaml --run "$run" "$@" >"$run.log" 2>&1 || code=$?
    [ $code -eq "$expected" ] || fail "$run: exit code $code, expected $expected: $(tail -n 3 "$run.log")"
}

# says FILE TEXT: the file has the text.
says() {
    grep -q -- "$2" "$1" || fail "$1 does not say \"$2\": $(tail -n 5 "$1")"
}

steps=24
train calm 2 $steps
calm=$(fingerprint calm $steps)

# Stop: the slot, its documents, and weights as they were.
export SHARDLM_SPOIL=nan:5:3
refused stops 3 --workers 2 --steps $steps
says stops.log "step 5: the gradient or loss of slot 3 is not finite"
says stops.log "words.txt, its "
[ -z "$(fingerprint stops 5)" ] || fail "a step with a bad slot was done"
memory=$(grep -o 'shardlm-[0-9a-f]*' stops/memory | head -n 1)
[ -n "$memory" ] || fail "no name in stops/memory: $(cat stops/memory)"
[ -z "$(find /dev/shm -name "$memory*")" ] || fail "shared memory is left: $memory"
echo "stopped: a slot that is not finite"

# Skip: the step counts, the bits are those of any shape and of a resumed run.
train skips 1 $steps --set numerics.on_bad_slot=skip
skipped=$(fingerprint skips $steps)
[ -n "$skipped" ] && [ "$skipped" != "$calm" ] || fail "nothing was skipped"
says skips/journal.jsonl '"event":"skip","step":5,"text":"the gradient or loss of slot 3'
"$shardlm" provenance skips --step 5 --slot 3 --json >documents.json || fail "provenance"
document=$(grep -o '"document": [0-9]*' documents.json | head -n 1 | grep -o '[0-9]*')
says skips/journal.jsonl "document $document (.*words.txt"
for workers in 2 3 5; do
    train "skips$workers" "$workers" $steps --set numerics.on_bad_slot=skip --set lease.mode=dynamic
    same "skips$workers" $steps "$skipped" "a slot skipped on $workers workers"
done
train skipsnodes 4 $steps --set numerics.on_bad_slot=skip --set shard.simulate_nodes=2
same skipsnodes $steps "$skipped" "a slot skipped on 2 nodes"
train skipswalk 2 4 --set numerics.on_bad_slot=skip
resume skipswalk 3 5
resume skipswalk 1 $steps
same skipswalk $steps "$skipped" "resumed before and behind the skipped step"

# Killed in the skipped step and behind it: memory serves, and no update comes of the bad slot.
for point in totals-known step-cleared; do
    SHARDLM_FAULT=$point:5:1 train "skipskill-$point" 2 $steps --set numerics.on_bad_slot=skip
    same "skipskill-$point" $steps "$skipped" "killed at $point of the skipped step"
    says "skipskill-$point/journal.jsonl" '"from":"memory"'
done

# Spikes: judged by a mean that goes along in checkpoints.
export SHARDLM_SPOIL=spike:20:1
train spikes 2 $steps --set numerics.on_loss_spike=skip
says spikes/journal.jsonl '"event":"skip","step":20,"text":"the loss of .* slot 1 has the largest'
train spikeswalk 3 18 --set numerics.on_loss_spike=skip
resume spikeswalk 2 $steps
same spikeswalk $steps "$(fingerprint spikes $steps)" "a loss spike skipped, resumed two steps before"
refused spikestop 3 --workers 3 --steps $steps --set numerics.on_loss_spike=stop
says spikestop.log "step 20: the loss of"

# Rollback: to the checkpoint of step 8, then on with data behind step 20; the same on other workers.
for workers in 2 3; do
    "$shardlm" train tiny.yaml --run "back$workers" --workers "$workers" --steps $steps --set numerics.on_loss_spike=rollback \
        --set numerics.rollback_steps=10 --set checkpoint.every_steps=4 --set checkpoint.keep=9 >"back$workers.log" 2>&1 || true
    says "back$workers/skips.json" '"from_step": 9'
    says "back$workers/journal.jsonl" "rolled back to step 8"
    [ -d "back$workers/abandoned/step-00000012" ] || fail "the abandoned checkpoint is gone"
    resume "back$workers" $((5 - workers)) $steps
done
back=$(fingerprint back2 $steps)
[ -n "$back" ] && [ "$back" != "$calm" ] || fail "no data was passed over"
same back3 $steps "$back" "rolled back on other workers"

# Audit: nothing to find, then a worker that flips a bit whenever it computes slot 2 of step 6.
unset SHARDLM_SPOIL
train audited 3 $steps --set numerics.audit_steps=2
same audited $steps "$calm" "one slot computed twice every other step"
says audited/journal.jsonl '"audited_slot":3'
export SHARDLM_SPOIL=flip:6:3:0
refused broken 1 --workers 3 --set restart.attempts=0 --steps $steps --set numerics.audit_steps=2 --set lease.mode=static
says broken.log "audit of step 6: worker 0 computed another gradient of slot 3 than worker 1; of 3 workers, 1 agree with it and 2 with"
refused broken2 1 --workers 4 --set restart.attempts=0 --steps $steps --set numerics.audit_steps=2 --set shard.simulate_nodes=2 --set lease.mode=static
unset SHARDLM_SPOIL
resume broken 2 $steps
same broken $steps "$calm" "resumed after the audit's find"

# Replay: on other workers, from a checkpoint and from the beginning; a run that was changed is found out.
before=$(find calm back2 -type f -exec sha256sum {} + | sort | sha256sum)
"$shardlm" replay calm --from 0 --to 6 --workers 3 >replay.log 2>&1 || fail "replay: $(cat replay.log)"
says replay.log "steps 1 to 6: 6 fingerprints equal the journal's, on 3 workers"
"$shardlm" replay back2 --from 8 --to 14 --workers 1 >replay.log 2>&1 || fail "replay: $(cat replay.log)"
[ "$before" = "$(find calm back2 -type f -exec sha256sum {} + | sort | sha256sum)" ] || fail "replay wrote into the run"
cp -r calm changed
sed -i 's/peak_rate: .*/peak_rate: 0.002/' changed/config.yaml
code=0
"$shardlm" replay changed --from 0 --to 3 --workers 2 >replay.log 2>&1 || code=$?
[ $code -eq 3 ] || fail "replay of a changed run: exit code $code: $(cat replay.log)"
says replay.log "step 1 of run \"changed\" differs"
echo "replayed: two segments on other workers; a changed run found out"
