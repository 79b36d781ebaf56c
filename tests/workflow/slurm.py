"""A Slurm of one node on this machine, started and stopped by the tests that need it."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Slurm's programs read these places, and Snakemake removes the variables that name others.
CONFIGURATION = Path("/etc/slurm/slurm.conf")
CARDS = Path("/etc/slurm/gres.conf")
LOCK = Path(tempfile.gettempdir()) / "resnoise-slurm.lock"
MARK = "# Written by the tests of resnoise.\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")

# More processors and graphics cards than there may be: what counts is who asks for them. Memory is
# watched by polling, so that a job above its limit is killed without cgroups. A requeued job waits
# until its old credential has expired, which usually takes two minutes. Finished jobs, at which the
# tests look, are usually forgotten after five (and after two seconds with MinJobAge=0, whatever its
# manual says).
TEMPLATE = """\
ClusterName=resnoise
SlurmctldHost={host}
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
MinJobAge=86400
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
ReturnToService=2
KillWait=2
GresTypes=gpu
NodeName={host} CPUs=8 RealMemory=30000 Gres=gpu:4 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=short Nodes=ALL MaxTime=60 State=UP
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 State=UP
"""


def missing() -> str | None:
    """Return why no Slurm can be started here, or None if one can."""
    if os.geteuid() != 0:
        return "starting Slurm needs root"
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    if lacking:
        return f"no {', '.join(lacking)} (Debian: apt-get install slurm-wlm munge)"
    for file in (CONFIGURATION, CARDS):
        if file.exists() and not file.read_text("utf-8").startswith(MARK):
            return f"{file} belongs to a Slurm of this machine"
    return None


@dataclass(frozen=True)
class Job:
    """A job in the queue."""

    number: str
    state: str
    rule: str


class Slurm:
    """A running Slurm."""

    def jobs(self) -> list[Job]:
        """Return the jobs that Slurm knows, finished ones included."""
        lines = _output("squeue", "--noheader", "--states=all", "--format=%A|%T|%k").splitlines()
        return [Job(*line.split("|", 2)) for line in lines]

    def preempt(self) -> None:
        """Take all graphics cards for a moment, as somebody with a higher priority does."""
        urgent = ["--partition=urgent", "--gpus=4", "--output=/dev/null", "--wrap=sleep 1"]
        subprocess.run(["sbatch", *urgent], check=True, stdout=subprocess.DEVNULL)

    def details(self, number: str) -> str:
        """Return what Slurm says about a job."""
        return _output("scontrol", "show", "job", number)


@contextlib.contextmanager
def one_node(folder: Path) -> Iterator[Slurm]:
    """Start a Slurm whose files are in ``folder``; end it with all its jobs."""
    with LOCK.open("w") as lock:
        # Other tests on this machine wait for their turn.
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _one_node(folder) as running:
            yield running


@contextlib.contextmanager
def _one_node(folder: Path) -> Iterator[Slurm]:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    cards = [folder / f"card{number}" for number in range(4)]
    for card in cards:
        card.touch()
    host = socket.gethostname().partition(".")[0]
    CONFIGURATION.write_text(MARK + TEMPLATE.format(host=host, folder=folder), "utf-8")
    CARDS.write_text(f"{MARK}Name=gpu File={folder}/card[0-3]\n", "utf-8")
    with contextlib.ExitStack() as stack:
        stack.callback(CARDS.unlink)
        stack.callback(CONFIGURATION.unlink)
        if not _works("munge", "--no-input"):
            stack.enter_context(_munged(folder))
        controller = stack.enter_context(_daemon("slurmctld", "-D"))
        _wait_for(lambda: _works("scontrol", "ping"), controller, folder)
        node = stack.enter_context(_daemon("slurmd", "-D"))
        _wait_for(lambda: _output("sinfo", "-h", "-o", "%t").startswith("idle"), node, folder)
        stack.callback(_end_jobs)
        yield Slurm()


@contextlib.contextmanager
def _munged(folder: Path) -> Iterator[None]:
    """Run Slurm's authentication service, which refuses folders that others may write."""
    socket_folder = Path("/run/munge")
    socket_folder.mkdir(exist_ok=True)
    socket_folder.chmod(0o755)
    private = folder / "munge"
    private.mkdir(mode=0o700)
    key = private / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    options = [f"--key-file={key}", f"--pid-file={private}/pid", f"--seed-file={private}/seed"]
    arguments = [*options, f"--log-file={private}/log", "--foreground", "--force"]
    with _daemon("munged", *arguments) as process:
        _wait_for(lambda: _works("munge", "--no-input"), process, folder)
        yield


@contextlib.contextmanager
def _daemon(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_jobs() -> None:
    """Cancel all jobs, and leave none of their processes."""
    subprocess.run(["scancel", "--user=root"], check=False)
    deadline = time.monotonic() + 20
    while _output("squeue", "--noheader") and time.monotonic() < deadline:
        time.sleep(0.5)
    # A Snakemake that Slurm asked to end may wait for a lock of its own for ever, and without
    # cgroups Slurm loses sight of it when the process that started it is gone.
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"SLURM_CLUSTER_NAME=resnoise" in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until ``ready()``; show the logs if the service ends or takes too long."""
    deadline = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            logs = "\n".join(file.read_text("utf-8") for file in folder.glob("*.log"))
            raise RuntimeError(f"{process.args} did not start:\n{logs[-3000:]}")
        time.sleep(0.2)


def _works(*command: str) -> bool:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
