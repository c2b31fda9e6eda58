#!/usr/bin/env bash
# A Slurm of one node on this machine, without systemd, for tests:
#
#   apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
#   tests/slurm/start.sh start DIR      writes DIR/slurm.conf, starts munged, slurmctld and slurmd, waits for the node
#   export SLURM_CONF=DIR/slurm.conf    what sbatch, squeue and so on are told by
#   tests/slurm/start.sh stop DIR       stops exactly those, by their pid files
#
# Needs root (slurmd starts jobs for their users). No accounting, no cgroups: both need more of a machine than this.
set -euo pipefail

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || usage
mkdir -p "$2"
dir=$(cd "$2" && pwd)

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_config() {
    local name cores memory
    name=$(hostname -s)
    cores=$(nproc)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    mkdir -p "$dir/state" "$dir/spool"
    cat > "$dir/slurm.conf" <<CONF
ClusterName=w2s_test
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=1
KillWait=5
NodeName=$name NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    for command in munged slurmctld slurmd sinfo; do
        PATH="$PATH:/usr/sbin" command -v "$command" > /dev/null || { echo "$command is not installed" >&2; exit 3; }
    done
    write_config
    export SLURM_CONF="$dir/slurm.conf"
    start_munge
    /usr/sbin/slurmctld -c
    /usr/sbin/slurmd
    for _ in $(seq 100); do
        if [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ]; then
            echo "export SLURM_CONF=$SLURM_CONF"
            return
        fi
        sleep 0.3
    done
    echo "the node did not come up: see $dir/slurmctld.log and $dir/slurmd.log" >&2
    stop
    exit 4
}

# munged runs as root here, with a key, a socket and a log of its own: a munge that the machine already has stays alone.
start_munge() {
    mkdir -p "$dir/munge"
    chmod 755 "$dir" "$dir/munge"
    dd if=/dev/urandom of="$dir/munge/key" bs=128 count=1 status=none
    chmod 600 "$dir/munge/key"
    /usr/sbin/munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" \
        --pid-file="$dir/munge/pid" --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
}

stop() {
    for file in "$dir/slurmd.pid" "$dir/slurmctld.pid" "$dir/munge/pid"; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2> /dev/null || true
        for _ in $(seq 100); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2> /dev/null || true
        rm -f "$file"
    done
}

case "$1" in
    start) start ;;
    stop) stop ;;
    *) usage ;;
esac
