#!/usr/bin/env bash
# launch/slurm/train.sbatch under a real Slurm: a controller and two nodes, each in a network namespace of its own.
. "$(dirname "$0")/lib.sh" "$1"
script=$(realpath "$(dirname "$0")/../../launch/slurm/train.sbatch")

if [ "$(id -u)" -ne 0 ] || ! ip netns add "shardlm-$$-probe" 2>/dev/null; then
    echo "SKIPPED: network namespaces need root and a kernel that allows them"
    exit 77
fi
ip netns del "shardlm-$$-probe"

space="shardlm-$$"
spaces=("$space-0" "$space-1" "$space-hub")
cluster_remove() {
    local name
    for name in "${spaces[@]}"; do
        ip netns pids "$name" 2>/dev/null | xargs -r kill -9 || true
        ip netns del "$name" 2>/dev/null || true
    done
    # Killed outright: at an orderly end it would still write its seed into the folder that is being removed.
    if [ -s munged.pid ]; then
        local process i
        process=$(cat munged.pid)
        kill -9 "$process" || true
        for ((i = 0; i < 100; i++)); do
            kill -0 "$process" 2>/dev/null || break
            sleep 0.05
        done
    fi
}
trap 'cluster_remove; rm -rf "$scratch" || true' EXIT # a log written late is no verdict
chmod 755 "$scratch"

# in_space NAME HOST WORDS…: not by ip netns exec, which mounts another /sys, without the cgroups that slurmd wants.
in_space() {
    local name=$1 host=$2
    shift 2
    nsenter --net="/run/netns/$name" unshare --uts bash -c 'hostname "$0"; exec "$@"' "$host" "$@"
}

ip netns add "$space-hub"
ip -n "$space-hub" link add bridge0 type bridge
ip -n "$space-hub" addr add 10.78.0.100/24 dev bridge0
ip -n "$space-hub" link set bridge0 up
ip -n "$space-hub" link set lo up
for i in 0 1; do
    ip netns add "$space-$i"
    ip -n "$space-hub" link add "port$i" type veth peer name eth0 netns "$space-$i"
    ip -n "$space-hub" link set "port$i" master bridge0 up
    ip -n "$space-$i" addr add "10.78.0.$((i + 1))/24" dev eth0
    ip -n "$space-$i" link set lo up
    ip -n "$space-$i" link set eth0 up
done

logs() {
    tail -n 20 slurmctld.log slurmd-*.log slurm-*.out 2>/dev/null || true
}
dd if=/dev/urandom of=munge.key bs=1024 count=1 status=none
chmod 400 munge.key
munged --key-file="$scratch/munge.key" --socket="$scratch/munge.socket" --pid-file="$scratch/munged.pid" \
    --seed-file="$scratch/munge.seed" --log-file="$scratch/munged.log" --force 2>/dev/null
cat >slurm.conf <<CONF
ClusterName=shardlm
SlurmctldHost=hub(10.78.0.100)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$scratch/munge.socket
StateSaveLocation=$scratch/state
SlurmdSpoolDir=$scratch/spool-%n
SlurmctldPidFile=$scratch/slurmctld.pid
SlurmdPidFile=$scratch/slurmd-%n.pid
SlurmctldLogFile=$scratch/slurmctld.log
SlurmdLogFile=$scratch/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MinJobAge=300
NodeName=node0 NodeHostname=node0 NodeAddr=10.78.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
NodeName=node1 NodeHostname=node1 NodeAddr=10.78.0.2 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=node0,node1 Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$scratch/slurm.conf SHARDLM=$shardlm
mkdir state
in_space "$space-hub" hub slurmctld || { logs; fail "slurmctld"; }
for i in 0 1; do
    in_space "$space-$i" "node$i" slurmd -N "node$i" || { logs; fail "slurmd on node$i"; }
done

# at_hub WORDS…: a command of Slurm, where a user would log in.
at_hub() {
    timeout 120 nsenter --net="/run/netns/$space-hub" "$@"
}
# wait_until WHAT WORDS…: until the command succeeds; ends after a minute.
wait_until() {
    local what=$1 i
    shift
    for ((i = 0; i < 300; i++)); do
        if "$@"; then return 0; fi
        sleep 0.2
    done
    logs
    fail "not within a minute: $what"
}
nodes_idle() { [ "$(at_hub sinfo --noheader --format=%t 2>/dev/null)" = idle ]; }
# job_is ID PATTERN: its state, as far as Slurm remembers it.
job_is() { at_hub scontrol show job "$1" 2>/dev/null | grep -qE "JobState=($2)"; }
submit() { at_hub sbatch --parsable "$@"; }

wait_until "two idle nodes" nodes_idle
steps=6
sed -i "s/total_steps: 400/total_steps: $steps/" tiny.yaml
train one 1 $steps
expected=$(fingerprint one $steps)

job_ended() { job_is "$1" "COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL"; }
# completed ID WHAT
completed() {
    wait_until "the end of $2" job_ended "$1"
    job_is "$1" COMPLETED || { logs; fail "$2 did not complete"; }
}
has_step() { grep -qs "\"step\":$2," "$1/journal.jsonl"; }

completed "$(submit "$script" tiny.yaml single)" "the job on one node"
same single $steps "$expected" "a job on one node"
completed "$(submit --nodes=2 "$script" tiny.yaml double)" "the job on two nodes"
same double $steps "$expected" "a job on two nodes"
grep '"event":"workers"' double/journal.jsonl | grep -q '"node0".*"node1"' || fail "node1 had no worker"

# A warning before the time limit: checkpoint, back into the queue, and on from there.
sed -i "s/total_steps: $steps/total_steps: 100000/" tiny.yaml
job=$(submit --nodes=2 --requeue "$script" tiny.yaml campaign)
wait_until "step 3 of the campaign" has_step campaign 3
at_hub scancel --batch --signal=USR1 "$job"
wait_until "the campaign back in the queue" job_is "$job" PENDING
grep -q '"text":"stopped by request"' campaign/journal.jsonl || fail "the campaign was not stopped in order"
# Not at once: a credential made in the second in which the one before was revoked is refused.
at_hub scontrol update "jobid=$job" StartTime=now+3
wait_until "the campaign's second start" grep -q '"event":"resume"' campaign/journal.jsonl
stopped=$(grep '"event":"resume"' campaign/journal.jsonl | grep -o '"step":[0-9]*' | head -n 1 | cut -d: -f2)
wait_until "a step after the second start" has_step campaign $((stopped + 1))
at_hub scancel --batch --signal=USR1 "$job"
wait_until "the campaign back in the queue once more" job_is "$job" PENDING
at_hub scancel "$job"
train straight 1 $((stopped + 1))
same campaign $((stopped + 1)) "$(fingerprint straight $((stopped + 1)))" "a campaign over a warning and a second start"
