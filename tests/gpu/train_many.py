"""Train runs side by side for a number of minutes, pack what came out, and go on from the pack.

For a machine with a graphics card that is there for minutes only, without Snakemake and without a
network: it needs the packages of envs/torch.yaml and Pillow. Where Snakemake's packages are:

    python tests/gpu/train_many.py plan plain-44/kwi/seed1 residual-44/hmwi/seed1 > plan.json

writes down the runs, as the configuration has them, the most important first. (With ``--prefix``
and ``--after`` a plan has runs of several configurations, such as other learning rates.) On the
machine:

    python tests/gpu/train_many.py run plan.json out --pictures cifar10.tar.xz --minutes 8

trains them and leaves in ``out`` a table, ``finished.tar.gz.000``, ... with the runs that have
ended, and ``unfinished.tar.gz.000``, ... with what is needed to go on, all below 16 MB. On the next
machine ``--go-on unfinished.tar.gz`` (without the numbers) trains on, to the same bits as without
the interruption if the code has not changed; another code is refused before anything is started.
On the same machine, the same command with another folder instead of ``out`` goes on too, with what
is in ``--work``, and packs what was left out before for want of room; with ``--minutes 0`` it does
nothing else.
"""

import argparse
import csv
import dataclasses
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))

from resnoise import provenance, registry
from resnoise.data import dataset
from resnoise.errors import ResnoiseError
from resnoise.provenance import SCRIPTS
from resnoise.specs.run import RunSpec
from resnoise.storage import tensorfile

# Table 1 with its first seed, the deepest networks first; the rescue of plain ones; the others.
USUAL = (
    *(f"{run}/seed1" for run in ("plain-44/kwi", "residual-44/hmwi")),
    *(f"{run}/seed1" for run in ("plain-20/kwi", "residual-20/hmwi")),
    *(f"{run}/seed1" for run in ("plain-32/kwi", "residual-32/hmwi")),
    *(f"plain-{depth}/t-hmwi/seed1" for depth in (44, 20, 32)),
    *(f"{run}/kwi/seed1" for run in ("full-residual-20", "full-plain-20")),
    *(f"dominant-path-{depth}/hmwi/seed1" for depth in (20, 44)),
)
RECORD, CHECKPOINT, HISTORY = "run.json", "resume.safetensors", "history.csv"
FILES = {
    "weights": "weights.safetensors",
    "snapshots": "snapshots.safetensors",
    "history": HISTORY,
    "record": RECORD,
}
MB = 1_000_000


def make_plan(arguments: argparse.Namespace) -> None:
    """Print the specifications of data and runs as JSON."""
    # Imported here, because the machine with the card need not have what these need.
    from resnoise.config import load
    from resnoise.plan import specs
    from resnoise.storage.checksum import check_sha256

    config = load.load(load.read(arguments.configfile))
    data_spec = specs.data_spec(config)
    if source := config["data"]["path"]:
        # As the rules do: the digest of the user's source belongs to that of the data set.
        digest = check_sha256(Path(source), data_spec.sha256)
        data_spec = dataclasses.replace(data_spec, sha256=digest)
    runs = json.loads(arguments.after.read_text())["runs"] if arguments.after else {}
    for own in arguments.runs or USUAL:
        name = f"{arguments.prefix}{own}"
        network, initialisation, seed = own.split("/")
        architecture, _, depth = network.rpartition("-")
        spec = specs.run_spec(
            config, architecture, int(depth), initialisation, int(seed.removeprefix("seed"))
        )
        runs[name] = json.loads(spec.to_json())
        if arguments.epochs:
            runs[name]["recipe"] |= {"epochs": arguments.epochs, "snapshot_epochs": []}
    expected = dataset.load(arguments.data).digest if arguments.data else None
    data = json.loads(data_spec.to_json())
    print(json.dumps({"data": data, "data_digest": expected, "runs": runs}, indent=1))


class Training:
    """The runs of a plan in a folder, and the processes that train them.

    Attributes:
        folder: has a folder for each run, and the data set.
        specs: name -> specification of each run, the most important first.
        data: the prepared data set.
        ended: name -> exit status of the processes that have ended.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder = folder
        self.specs = {name: RunSpec.from_dict(spec) for name, spec in plan["runs"].items()}
        self.data = folder / "data.safetensors"
        self.ended: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def finished(self, name: str) -> bool:
        """Return whether a run has ended, now or before."""
        return (self.folder / name / RECORD).exists()

    def check(self, digest: str) -> None:
        """Check that all checkpoints can be continued.

        Raises:
            ResnoiseError: one belongs to other code, data or another specification.
        """
        for name, spec in self.specs.items():
            file = self.folder / name / CHECKPOINT
            if not file.exists():
                continue
            plugins = registry.plugin_modules(
                spec.network.architecture, spec.initialisation, spec.recipe.conv_backend
            )
            code = provenance.code_digest("train.py", "torch.yaml", *plugins)
            wanted = {"spec": spec.to_json(), "data": digest, "code": code}
            (run,) = tensorfile.load(file)[1]["runs"]
            different = [key for key in wanted if run["identity"].get(key) != wanted[key]]
            if different:
                raise ResnoiseError(
                    f"{name}: its checkpoint is of another {' and '.join(different)}; use the code "
                    "and pictures that it was made with, or leave out --go-on to start again"
                )

    def train(self, at_once: int, options: Sequence[str], deadline: "Deadline") -> None:
        """Train all runs that have not ended, so many at a time, until the deadline."""
        waiting = [name for name in self.specs if not self.finished(name)]
        try:
            while (waiting or self._running) and not deadline.is_over():
                while waiting and len(self._running) < at_once:
                    self._start(waiting.pop(0), options)
                time.sleep(0.2)
                for name in self._ended():
                    print(f"{deadline.seconds():5.0f} s  {name} ended: {self.state(name)}")
                    sys.stdout.flush()
        finally:
            # A checkpoint is complete at every moment, so that nothing needs to be waited for.
            for process in self._running.values():
                process.kill()
                process.wait()

    def _start(self, name: str, options: Sequence[str]) -> None:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(SCRIPTS / "train.py"), "--data", str(self.data), *options]
        command += ["--spec", self.specs[name].to_json()]
        for option, file in FILES.items():
            command += [f"--{option}", str(folder / file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (folder / "train.log").open("a") as log:
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _ended(self) -> Iterator[str]:
        for name, process in [*self._running.items()]:
            if process.poll() is not None:
                self.ended[name] = self._running.pop(name).returncode
                yield name

    def state(self, name: str) -> str:
        """Return how far a run is, in words."""
        folder = self.folder / name
        if self.ended.get(name):
            log = (folder / "train.log").read_text().strip().splitlines()
            return f"FAILED with status {self.ended[name]}: {log[-1] if log else ''}"[:300]
        if not (folder / HISTORY).exists():
            # Of a run that ended on another machine there is nothing but the record.
            return "finished before" if self.finished(name) else "not begun"
        with (folder / HISTORY).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        if not rows:
            return "in its first epoch"
        last = rows[-1]
        status = "finished" if self.finished(name) else "unfinished"
        if last["status"] != "ok":
            status = last["status"]
        seconds = sum(float(row["seconds"]) for row in rows) / len(rows)
        return (
            f"epoch {last['epoch']} of {self.specs[name].recipe.epochs}, "
            f"risk {float(last['risk']):.5f}, test error {float(last['test_error']):.4f}, "
            f"{float(last['images_per_second']):.0f} images/s, {seconds:.2f} s/epoch, {status}"
        )

    def pack(self, out: Path, piece: int, most: int) -> None:
        """Write what is needed to go on, and then the runs that have ended.

        What was packed before on this machine, and has not changed since, is left out.

        Args:
            out: folder for the pieces.
            piece: largest size of a piece in bytes.
            most: largest size of all pieces; what does not fit is left out and named.
        """
        ended = [name for name in self.specs if self.finished(name)]
        unfinished = [name for name in self.specs if name not in ended]
        needed = [self.folder / name / RECORD for name in ended]
        for name in unfinished:
            files = (CHECKPOINT, HISTORY, f"{HISTORY}.sha256", "train.log")
            needed += [self.folder / name / file for file in files]
        results = [
            file
            for name in ended
            for file in sorted((self.folder / name).iterdir())
            if not file.name.startswith(".")
        ]
        # The largest last, which only some measurements need.
        results.sort(key=lambda file: file.name == FILES["snapshots"])
        left = most
        for stem, packed in (("unfinished", needed), ("finished", results)):
            left -= self._write(out / f"{stem}.tar.gz", packed, piece, left)

    def _write(self, path: Path, files: Sequence[Path], piece: int, most: int) -> int:
        """Write an archive in pieces; return its size."""
        pieces = Pieces(path, piece)
        packed = self.folder / "packed.txt"
        before = packed.read_text().splitlines() if packed.exists() else []
        with tarfile.open(fileobj=pieces, mode="w|gz") as archive, packed.open("a") as stream:
            for file in files:
                if not file.exists():
                    continue
                name = str(file.relative_to(self.folder))
                version = f"{path.name} {name} {file.stat().st_mtime_ns}"
                if version in before:
                    continue
                # With room for what the archive has not written yet.
                if pieces.size + file.stat().st_size + 100_000 > most:
                    print(f"left out of {path.name} for want of room: {name}")
                    continue
                archive.add(file, name)
                stream.write(f"{version}\n")
        pieces.close()
        return pieces.size


class Pieces(io.RawIOBase):
    """A file that is written as several: name.000, name.001 and so on.

    Attributes:
        size: bytes written.
    """

    def __init__(self, path: Path, piece: int) -> None:
        super().__init__()
        self.path = path
        self.piece = piece
        self.size = 0

    def writable(self) -> bool:
        """See ``io.IOBase``."""
        return True

    def write(self, data: Any) -> int:
        """Append to the last piece, and to new ones when it is full."""
        rest = memoryview(data)
        while rest:
            number, used = divmod(self.size, self.piece)
            part = rest[: self.piece - used]
            with self.path.with_name(f"{self.path.name}.{number:03}").open("ab") as stream:
                stream.write(part)
            self.size += len(part)
            rest = rest[len(part) :]
        return len(data)


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive that was written in pieces.

    Raises:
        ResnoiseError: there is no such archive, or it is damaged.
    """
    pieces = sorted(path.parent.glob(f"{path.name}.[0-9][0-9][0-9]"))
    if not pieces:
        raise ResnoiseError(f"--go-on: {path}.000 does not exist")
    try:
        # Unlike tarfile, this reads to the end, where the checksum is.
        content = gzip.decompress(b"".join(file.read_bytes() for file in pieces))
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ResnoiseError(f"--go-on: {path}: pieces are missing or damaged ({error})") from error


class Deadline:
    """When to stop: after some minutes, or when the program is told to."""

    def __init__(self, minutes: float) -> None:
        self._start = time.monotonic()
        self._allowed = 60 * minutes
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._allowed = 0.0

    def seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self._start

    def is_over(self) -> bool:
        """Return whether to stop."""
        return self.seconds() >= self._allowed


def run_plan(arguments: argparse.Namespace) -> int:
    """Train the runs of a plan and pack what came out; return the exit status."""
    deadline = Deadline(arguments.minutes)
    plan = json.loads(arguments.plan.read_text())
    if there := sorted(arguments.out.glob("*.tar.gz.[0-9][0-9][0-9]")):
        # A second archive behind the first one would never be unpacked.
        raise ResnoiseError(f"{there[0]} is there from an earlier run; give another folder")
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Never over newer checkpoints of this machine.
    used = any(arguments.work.glob("*/*/*"))
    for path in [] if used else arguments.go_on:
        unpack(path, arguments.work)
    if used and arguments.go_on:
        print(f"going on with what is in {arguments.work}, not with --go-on")
    training = Training(arguments.work, plan)
    if not training.data.exists():
        prepare = [sys.executable, str(SCRIPTS / "prepare_data.py"), "--spec"]
        prepare += [json.dumps(plan["data"]), "--output", str(training.data)]
        prepare += ["--source", str(arguments.pictures)] if arguments.pictures else []
        subprocess.run(prepare, check=True)
    digest = dataset.load(training.data).digest
    if plan["data_digest"] not in (None, digest):
        print(f"WARNING: the data set is {digest}, expected {plan['data_digest']}: its pictures")
        print("were decoded differently, and these runs can be measured with this data set only")
    training.check(digest)
    print(f"{deadline.seconds():5.0f} s  the data set is ready", flush=True)
    options = ["--device", arguments.device, "--threads", "1"]
    options += ["--cuda-graph"] if arguments.cuda_graph else []
    training.train(arguments.at_once, options, deadline)
    table = "\n".join(f"{name:28} {training.state(name)}" for name in training.specs)
    (arguments.out / "table.txt").write_text(f"{table}\n")
    print(table, flush=True)
    training.pack(arguments.out, arguments.piece_mb * MB, arguments.most_mb * MB)
    print(f"{deadline.seconds():5.0f} s  packed", flush=True)
    return 1 if any(training.ended.values()) else 0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    plan = commands.add_parser("plan", help="print the specifications of runs")
    plan.set_defaults(call=make_plan)
    plan.add_argument("runs", nargs="*", help="such as plain-44/kwi/seed1")
    plan.add_argument("--configfile", type=Path, nargs="*", default=[])
    plan.add_argument("--prefix", default="", help="of the runs' names, such as rate0.01/")
    plan.add_argument("--after", type=Path, help="a plan to add these runs to")
    plan.add_argument("--epochs", type=int, help="for a rehearsal: other runs than the usual ones")
    plan.add_argument("--data", type=Path, help="prepared data set, to notice if it is another one")
    run = commands.add_parser("run", help="train them")
    run.set_defaults(call=run_plan)
    run.add_argument("plan", type=Path)
    run.add_argument("out", type=Path, help="folder for table and archives")
    run.add_argument("--pictures", type=Path, help="the data set's source, if it has one")
    run.add_argument("--minutes", type=float, required=True, help="until the last run is stopped")
    run.add_argument("--at-once", type=int, default=6, help="runs at a time (6)")
    run.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    run.add_argument("--cuda-graph", action="store_true", help="see train.py --help")
    run.add_argument("--go-on", type=Path, nargs="*", default=[], help="archives, without numbers")
    run.add_argument("--work", type=Path, default=Path("train-many"), help="folder to train in")
    run.add_argument("--piece-mb", type=int, default=15, help="largest piece (15)")
    run.add_argument("--most-mb", type=int, default=64, help="all pieces together (64)")
    arguments = parser.parse_args()
    try:
        sys.exit(arguments.call(arguments))
    except (ResnoiseError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
