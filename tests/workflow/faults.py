"""Faults to inject into runs of the workflow: kills, damage, full disks, missing rights, clocks."""

import hashlib
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from projects import Project

# These hold times; everything else comes out the same to the bit.
HOLDS_TIMES = {"history.csv", "history.csv.sha256", "run.json", "report.html"}
NOT_RESULTS = {"logs", "benchmarks", "provenance"}


def results(project: Project) -> dict[str, str]:
    """Return the SHA-256 of every file among the results, empty for those that hold times."""
    found = {}
    for path in sorted(project.results.rglob("*")):
        place = path.relative_to(project.results)
        if path.is_file() and place.parts[0] not in NOT_RESULTS:
            content = b"" if path.name in HOLDS_TIMES else path.read_bytes()
            found[str(place)] = hashlib.sha256(content).hexdigest() if content else ""
    return found


def start(project: Project, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start Snakemake in a session of its own."""
    return subprocess.Popen(
        project.command(*arguments),
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def jobs_done(project: Project) -> int:
    """Return how many jobs every Snakemake here has seen to their end, by its logs."""
    logs = (project.root / ".snakemake" / "log").glob("*.snakemake.log")
    return sum(log.read_text("utf-8").count("\nFinished jobid: ") for log in logs)


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill Snakemake and all its jobs at once."""
    # Until there is none left: one may have started another in the meantime.
    while alive := _session(process.pid):
        for number in alive:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
    process.wait()


def _session(leader: int) -> list[int]:
    """Return the live processes of a session, without pkill, which small systems lack."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        # It may end while it is looked at.
        with suppress(OSError):
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append(int(place.name))
    return found


def kill_snakemake(process: "subprocess.Popen[bytes]") -> None:
    """Kill Snakemake alone; its jobs go on."""
    process.kill()
    process.wait()


def flip(file: Path) -> None:
    """Change one bit in the middle of a file: of a digit, in text."""
    content = bytearray(file.read_bytes())
    digits = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
    content[digits[len(digits) * 2 // 3]] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    """Cut a file off in the middle."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    """Leave nothing of a file."""
    file.write_bytes(b"")


def scatter_times(project: Project, seed: int) -> None:
    """Give every file of the project a time of its own, from a year ago to a year ahead."""
    draw = random.Random(seed)
    for path in sorted(project.root.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts:
            time = path.stat().st_mtime + draw.uniform(-1, 1) * 365 * 86400
            os.utime(path, (time, time))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a small file system in memory on ``folder``; needs root."""
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount(folder: Path) -> bool:
    """Return whether this process may mount a file system."""
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True)
    if done.returncode == 0:
        subprocess.run(["umount", folder], check=True)
    return done.returncode == 0


def fill(folder: Path, leave: int) -> Path:
    """Fill the disk of ``folder`` but for some bytes; return the file that fills it."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - leave)))
    return ballast
