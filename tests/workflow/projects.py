"""Copies of the project to run Snakemake in, with a tiny configuration on real pictures."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import preloaded
import torch

from resnoise import networks
from resnoise.specs import run as specs

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    *("Snakefile", "rules", "workflow", "config", "envs"),
    *("profiles", "reference", "slurm", "ssh"),
)

# Variables by which git is the same for everybody who runs the tests, in folders of whomever.
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}

# What most tests of staleness look at: data, training, evaluation, a table and a figure.
CORE = ("results/tiny/table1.csv", "results/tiny/training_curves.pdf")

# Scikit-learn's digits, ten of each for training: real pictures, seconds of work.
TINY = """
results: results/tiny
device: cpu
data: {source: digits, train_per_class: 10, test_per_class: 5}
networks: {width: 4}
training:
  simplified: {epochs: 2, batch_size: 20, learning_rate: 0.05, milestones: [0.5]}
table1: {depths: [8], seeds: [1]}
"""

# What needs every rule but the download.
EVERYTHING_TARGETS = (
    "all",
    "external",
    "runs",
    "metrics",
    "conjecture",
    "results/tiny/runs/residual-8/hmwi/seed1/transferred.safetensors",
    "results/tiny/figure3_snapshots.pdf",
)

# Something for every rule, with the same networks as far as it goes.
EVERYTHING = """
twins: {depths: [8], seeds: [1]}
layer_cushion: {depths: [8], seeds: [1], samples: 10}
noise_stability: {depths: [8], seeds: [1], samples: 4, repeats: 2, sizes: [0.1]}
interlayer_cushion: {architectures: [residual, plain], depths: [8], seeds: [1], samples: 2}
bounds: {samples: 4}
table5: {depths: [8], seeds: [1], lower_full: {depths: [8]}}
gradient_flow: {depth: 8, seeds: [1], epochs: [1], samples: 4}
trivial_case: {repetitions: 3, n: 8, n_values: [4, 8], layer_values: [18, 19]}
weight_statistics: {depth: 8, seeds: [1]}
table4: {depths: [8], seeds: [1]}
figure8: {depths: [8], seeds: [1]}
figure9: {depths: [8], seeds: [1]}
conjecture: {depths: [8], seeds: [1], doses: [0.5], others: [{initialisation: dirac}]}
"""
FULLY_FLEDGED = """  fully_fledged: {epochs: 1, batch_size: 20}
table1:"""

RESIDUAL = "runs/residual-8/hmwi/seed1"
PLAIN = "runs/plain-8/kwi/seed1"
# Everything else that a run writes holds times.
EXACT = ("weights.safetensors", "snapshots.safetensors", "evaluation.csv")


@dataclass(frozen=True)
class Project:
    """A checkout in a folder of its own."""

    root: Path

    @property
    def results(self) -> Path:
        """Return the results folder of the tiny configuration."""
        return self.root / "results" / "tiny"

    def command(self, *arguments: str, configfile: str | None = "config/tiny.yaml") -> list[str]:
        """Return the command line of Snakemake with ``arguments``."""
        files = ["--configfile", configfile] if configfile else []
        # The configuration comes last: the option takes every file name that follows it.
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, *files]

    def configure_everything(self) -> None:
        """Give every rule something small to do."""
        self.replace("config/tiny.yaml", "device: cpu", f"device: cpu{EVERYTHING}")
        self.replace("config/tiny.yaml", "table1:", FULLY_FLEDGED)
        # Not used for digits, but in every place that shows the configuration.
        mirrors = "per_class: 5, mirrors: ['https://user:s3cret@example.org/x?key=s3cret']}"
        self.replace("config/tiny.yaml", "per_class: 5}", mirrors)

    def configure_external(self) -> None:
        """Add a network that was trained elsewhere, and a run beyond the paper's."""
        mine = "device: cpu\nexternal: [{name: mine, path: mine.pt}]\n"
        mine += "runs: [{architecture: plain, initialisation: kwi, depths: [8], seeds: [1]}]"
        self.replace("config/tiny.yaml", "device: cpu", mine)
        torch.manual_seed(0)
        network = networks.build(specs.NetworkSpec("residual", 8, 4), 10, 1)
        torch.save(network.state_dict(), self.root / "mine.pt")

    def snakemake(
        self,
        *arguments: str,
        configfile: str | None = "config/tiny.yaml",
        fails: bool = False,
        prefix: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        ordinary: bool = False,
        seconds: float = 600,
    ) -> str:
        """Run Snakemake and return all that it printed; it must succeed, or fail if ``fails``.

        ``prefix`` are words before the command, ``environment`` variables besides those here.
        Processes are forked from one that has imported the large libraries (see ``preloaded``),
        but with a prefix, or if ``ordinary``. ``seconds`` is the time limit.
        """
        command = self.command(*arguments, configfile=configfile)
        variables = {**os.environ, **(environment or {})}
        if not (prefix or ordinary):
            command[0] = str(preloaded.snakemake())
            variables["PATH"] = os.pathsep.join([str(preloaded.programs()), variables["PATH"]])
        done = subprocess.run(
            [*prefix, *command],
            cwd=self.root,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def stale(self, *arguments: str) -> dict[str, int]:
        """Return how many jobs of each rule Snakemake would run for ``CORE``."""
        printed = self.snakemake("--dry-run", *CORE, *arguments)
        if "Nothing to be done" in printed:
            return {}
        # The last table of jobs: rule, number.
        table = printed[printed.rindex("Job stats:") :].partition("total")[0]
        counts = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
        return {rule: int(count) for rule, count in counts if rule != "all"}

    def replace(self, file: str, old: str, new: str) -> None:
        """Edit a file of the project; ``old`` must be there."""
        path = self.root / file
        text = path.read_text("utf-8")
        assert old in text, f"{old!r} not in {file}"
        path.write_text(text.replace(old, new), "utf-8")

    def copy_to(self, folder: Path) -> "Project":
        """Return a copy with results and Snakemake's memory, all times kept."""
        shutil.copytree(self.root, folder, symlinks=True)
        return Project(folder)


def fresh_project(folder: Path) -> Project:
    """Return a checkout without results in ``folder``."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / part)
    (folder / "config" / "tiny.yaml").write_text(TINY, "utf-8")
    return Project(folder)


def digests(project: Project) -> dict[str, str]:
    """Return the SHA-256 of every output that must come out the same to the bit."""
    files = [f"{run}/{name}" for run in (PLAIN, RESIDUAL) for name in EXACT]
    files += ["data.safetensors", "table1.csv", "table1.md"]
    return {
        file: hashlib.sha256((project.results / file).read_bytes()).hexdigest() for file in files
    }
