#!/bin/sh
# A real SLURM of one node on this machine, for tests of the slurm profile. Usage, as root: one_node.sh up|down|status
# It listens on 127.0.0.1 alone, has two partitions (cpu, gpu) and two GPUs that exist in name only.
# Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
set -eu

STATE=/run/unweave-slurm # sockets, spool, logs
CONF=/etc/slurm          # not SLURM_CONF: the executor drops SLURM_* from the environment of its jobs
MARK="# one-node test cluster of Unweave"
HOST=$(hostname -s)

fail() {
    echo "one_node.sh: $*" >&2
    exit 1
}

write_configuration() {
    {
        echo "$MARK"
        cat <<END
ClusterName=onenode
SlurmctldHost=$HOST(127.0.0.1)
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=8 Boards=1 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 RealMemory=16000 Gres=gpu:2
PartitionName=cpu Nodes=$HOST Default=YES MaxTime=UNLIMITED State=UP
PartitionName=gpu Nodes=$HOST MaxTime=UNLIMITED State=UP
GresTypes=gpu

# Loopback only, on ports of its own.
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
SlurmUser=slurm
SlurmdUser=root

StateSaveLocation=$STATE/controller
SlurmdSpoolDir=$STATE/node
SlurmctldPidFile=$STATE/slurmctld.pid
SlurmdPidFile=$STATE/slurmd.pid
SlurmctldLogFile=$STATE/slurmctld.log
SlurmdLogFile=$STATE/slurmd.log

# Neither cgroups nor a data base. Declared CPUs count, present or not; finished jobs stay listed for a day.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
MinJobAge=86400
SchedulerParameters=sched_interval=2,bf_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
END
    } >$CONF/slurm.conf
    echo "NodeName=$HOST Name=gpu File=/dev/tty[0-1]" >$CONF/gres.conf
}

ours() {
    grep -q "$MARK" $CONF/slurm.conf 2>/dev/null
}

up() {
    [ "$(id -u)" = 0 ] || fail "run it as root"
    for program in slurmctld slurmd sbatch munged; do
        PATH=$PATH:/usr/sbin command -v $program >/dev/null || fail "$program is missing: see the first lines of this file"
    done
    [ ! -e $CONF/slurm.conf ] || ours || fail "$CONF/slurm.conf belongs to another cluster"
    ! ours || down
    mkdir -p $STATE/controller $STATE/node /run/munge
    chown -R slurm: $STATE
    chown munge: /run/munge
    chmod 755 $STATE /run/munge
    write_configuration
    runuser -u munge -- /usr/sbin/munged --force --pid-file /run/munge/munged.pid
    /usr/sbin/slurmctld
    /usr/sbin/slurmd
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --partition cpu --format %t 2>/dev/null)" = idle ] && exit 0
        sleep 0.5
    done
    fail "the node does not become idle: see $STATE/slurmctld.log and $STATE/slurmd.log"
}

stop() {
    [ -s "$1" ] || return 0
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 40); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.25
    done
    kill -KILL "$pid"
}

down() {
    ours || return 0
    scancel --user root 2>/dev/null || true
    for pid_file in $STATE/slurmd.pid $STATE/slurmctld.pid /run/munge/munged.pid; do
        stop $pid_file
    done
    rm -rf $STATE $CONF/slurm.conf $CONF/gres.conf
}

# Without a data base there is no sacct: the controller itself still knows every job.
status() {
    sinfo
    scontrol show jobs --oneliner | awk '
        function value(key) {
            return match(" " $0, " " key "=[^ ]*") ? substr(" " $0, RSTART + length(key) + 2, RLENGTH - length(key) - 2) : ""
        }
        BEGIN { row = "%-5s %-10s %-9s %-9s %-7s %-11s %s\n"; printf row, "job", "state", "elapsed", "partition", "memory", "gpu", "comment" }
        value("JobId") {
            printf row, value("JobId"), value("JobState"), value("RunTime"), value("Partition"), value("MinMemoryNode"),
                value("TresPerJob"), value("Comment")
        }'
}

case "${1:-}" in
up | down | status) "$1" ;;
*) fail "say up, down or status" ;;
esac
