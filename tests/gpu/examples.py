"""Pictures, runs and trainings for checks; without the configuration, which needs more packages."""

import csv
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resnoise import registry
from resnoise.data import dataset
from resnoise.data.dataset import Dataset
from resnoise.data.samples import Samples
from resnoise.specs.run import NetworkSpec, RecipeSpec, RunSpec
from resnoise.storage import tensorfile
from resnoise.training.log_lines import Log
from resnoise.training.loop import train
from resnoise.training.run import RunFiles

CLASSES = 10
# Columns of a history that differ from run to run.
TIMES = ("seconds", "images_per_second")


def pictures(folder: Path, train_count: int, test_count: int, side: int = 32) -> Dataset:
    """Return pictures that can be learned: a pattern for each class, moved and under noise."""
    numbers = np.random.default_rng(0)
    patterns = numbers.normal(size=(CLASSES, side // 4, side // 4, 3)).repeat(4, 1).repeat(4, 2)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = numbers.permutation(count) % CLASSES
        values = 128 + 25 * patterns[labels] + numbers.normal(scale=40, size=(count, side, side, 3))
        return values.clip(0, 255).astype(np.uint8), labels

    names = tuple(f"class {number}" for number in range(CLASSES))
    samples = Samples(*part(train_count), *part(test_count), names)
    file = folder / "data.safetensors"
    dataset.save(file, samples, "patterns")
    return dataset.load(file)


def run_spec(architecture: str, depth: int = 8, **changes: Any) -> RunSpec:
    """Return a run; ``changes`` are fields of its recipe, by default that of a short training."""
    residual = registry.architecture(architecture).residual
    simplified = registry.architecture(architecture).family == "simplified"
    initialisation = "hmwi" if residual and simplified else "kwi"
    recipe: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 0.01,
        "milestones": (0.5,),
        "decay_factor": 0.1,
        "momentum": 0.9,
        "penalty": 1e-2,
        "penalty_divided_by_batch": True,
        "penalty_on_biases": False,
        "penalty_on_transferred": True,
        "crop_padding": 4,
        "horizontal_flip": True,
        "precision": "float32",
        "allow_tf32": False,
        "compile": False,
        "conv_backend": "torch",
        "epoch_risk": "mini-batches",
        "snapshot_epochs": (1,),
    }
    network = NetworkSpec(architecture, depth, 16)
    return RunSpec(network, initialisation, 1, RecipeSpec(**{**recipe, **changes}))


def trained(spec: RunSpec, data: Dataset, folder: Path, device: str, **options: Any) -> RunFiles:
    """Train a run on a device and return its files."""
    files = RunFiles.in_folder(folder)
    settings = {"code": "code", "threads": 1, **options}
    train([spec], data, [files], device=device, **settings)
    return files


def result(files: RunFiles) -> tuple[bytes, bytes, list[dict[str, str]]]:
    """Return everything of a run that must be the same each time."""
    return files.weights.read_bytes(), files.snapshots.read_bytes(), history(files)


def history(files: RunFiles) -> list[dict[str, str]]:
    """Return the history of a run without the columns that measure time."""
    with files.history.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: row[name] for name in row if name not in TIMES} for row in rows]


def record(files: RunFiles) -> dict[str, Any]:
    """Return the record of a run."""
    facts: dict[str, Any] = json.loads(files.record.read_text())
    return facts


def weights(files: RunFiles) -> dict[str, np.ndarray]:
    """Return the weights of a run after training."""
    return tensorfile.load(files.weights)[0]


def killed_after(epochs: int, command: Sequence[str | Path], delay: float = 0.0) -> int:
    """Kill a script that trains some seconds after it has done so many epochs; return its status.

    Unlike the history, the log tells of each epoch at once. A process whose log is not read stops
    after the 30 lines that a small pipe holds, so that it is not at its end when it is killed.
    """
    with subprocess.Popen(command, bufsize=0, stderr=subprocess.PIPE, pipesize=4096) as process:
        assert process.stderr
        seen = 0
        while seen < epochs and (line := process.stderr.readline()):
            seen += Log.parse(line.decode()).finished is not None
        time.sleep(delay)
        process.kill()
    return process.returncode
