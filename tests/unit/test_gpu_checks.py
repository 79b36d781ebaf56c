"""The checks for graphics cards: they run to their end on a CPU, and they can fail."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import metric_checks
import numpy as np
import pandas as pd
import pytest
import torch
import training_checks  # noqa: F401 (adds its checks)
from registry import CHECKS, Place
from torch import Tensor

from resnoise.training import run as run_module
from resnoise.training.backend import TorchBackend
from resnoise.training.run import Run
from resnoise.training.update import Outcome

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]


def kind(name: str) -> str:
    """Return a check's name without its case, but with the metric that it is about."""
    words = name.split(" ")
    return " ".join(words[: 2 if words[0] == "a_metric_is_the_cpus" else 1])


def examples() -> list[str]:
    """Return one check of each kind: the first of those that differ in their cases only.

    On a CPU they show that each kind runs to its end, for what it compares is the same by itself.
    """
    return [*{kind(name): name for name in reversed(CHECKS)}.values()]


def marked(name: str) -> object:
    """Return a check's name, marked where it takes long: other tests kill and measure on a CPU."""
    long = ("a_killed", "a_measurement", "training_takes", "a_metric", "twins_stay", "three_epochs")
    return pytest.param(name, marks=pytest.mark.thorough) if name.startswith(long) else name


@pytest.mark.parametrize("name", [*map(marked, examples())])
def test_a_check_passes_where_the_device_is_the_cpu(name: str, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        assert CHECKS[name](Place(CPU, tmp_path))
    finally:
        torch.set_num_threads(threads)


GRADIENTS = TorchBackend.loss_and_gradients


def less_exact(self: TorchBackend, inputs: Tensor, labels: Tensor) -> Outcome:
    """Compute float32 gradients as TF32 does, with ten bits."""
    outcome = GRADIENTS(self, inputs, labels)
    if inputs.dtype == torch.float32:
        for parameter in self.network.parameters():
            assert parameter.grad is not None
            parameter.grad += 5e-4 * parameter.grad * torch.randn_like(parameter)
    return outcome


def never_the_same(self: TorchBackend, inputs: Tensor, labels: Tensor) -> Outcome:
    """Compute gradients as with sums in a changing order."""
    outcome = GRADIENTS(self, inputs, labels)
    parameter = next(self.network.parameters())
    assert parameter.grad is not None
    parameter.grad *= 1 + 1e-6 * torch.rand(())
    return outcome


@pytest.mark.parametrize(
    ("name", "gradients"),
    [
        ("gradients_are_those_of_float64 residual", less_exact),
        ("two_runs_give_the_same_bits plain", never_the_same),
        ("a_replayed_graph_gives_the_same_bits plain", never_the_same),
    ],
)
def test_a_check_fails_where_gradients_are_wrong(
    name: str,
    gradients: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TorchBackend, "loss_and_gradients", gradients)
    with pytest.raises(AssertionError):
        CHECKS[name](Place(CPU, tmp_path))


def test_a_check_fails_where_a_curve_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The third run of this check is the device's.
    runs: list[Run] = []

    def other(*arguments: object, **options: object) -> Run:
        runs.append(Run(*arguments, **options))  # type: ignore[arg-type]
        if len(runs) == 3:
            runs[-1].penalty.coefficient *= 2
            runs[-1].optimizer.momentum = 0.8
        return runs[-1]

    monkeypatch.setattr(run_module, "Run", other)
    with pytest.raises(AssertionError, match="relative difference"):
        CHECKS["three_epochs_follow_the_cpu residual"](Place(CPU, tmp_path))


def test_a_check_fails_where_divergence_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "nonzero", lambda _: ())
    monkeypatch.setattr(run_module.math, "isfinite", lambda _: True)
    with pytest.raises(AssertionError):
        CHECKS["a_diverging_run_is_found plain eager"](Place(CPU, tmp_path))


TABLE = pd.DataFrame({"name": ["a", "b"], "value": [1.0, np.nan], "size": [0.0, 2.0]})


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [("value", 1.0, 0.0), ("value", 1.001, 1.0), ("value", 1.002, 2.0), ("size", 1e-5, np.inf)],
)
def test_tables_are_compared_number_by_number(column: str, value: float, expected: float) -> None:
    found = TABLE.copy()
    found.loc[0, column] = value
    bound = metric_checks.Bound(None, 1e-3)
    assert metric_checks.deviation(found, TABLE, bound) == pytest.approx(expected)


@pytest.mark.parametrize(
    "found",
    [
        TABLE[:1],
        TABLE.drop(columns="size"),
        TABLE.assign(name=["a", "c"]),
        TABLE.assign(value=[1.0, 1.0]),
        TABLE.assign(value=[np.nan, np.nan]),
    ],
)
def test_tables_with_other_rows_are_not_equal(found: pd.DataFrame) -> None:
    with pytest.raises(AssertionError, match="other"):
        metric_checks.deviation(found, TABLE, metric_checks.Bound(None, 1e-3))


def test_a_check_fails_where_a_metric_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = metric_checks.measured
    calls: list[str] = []

    def other(*arguments: object) -> list[pd.DataFrame]:
        tables = measured(*arguments)  # type: ignore[arg-type]
        calls.append("")
        if len(calls) == 2:
            tables[0]["cushion"] *= 1.01
        return tables

    monkeypatch.setattr(metric_checks, "measured", other)
    with pytest.raises(AssertionError, match="times as far"):
        CHECKS["a_metric_is_the_cpus layer_cushion plain"](Place(CPU, tmp_path))


def test_there_is_no_metric_with_a_specification_that_is_not_checked() -> None:
    from resnoise import registry

    # Statistics of weights are computed without a device.
    assert {*metric_checks.METRICS, "weight_statistics"} == {*registry.METRICS}


@pytest.mark.parametrize("status", [0, 1])
def test_the_first_minutes_make_every_check_once_whatever_fails(
    tmp_path: Path, status: int
) -> None:
    stand_in = tmp_path / "programs" / "python3"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$@"\nexit {status}\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / "tests" / "gpu" / "first_minutes.sh", tmp_path / "found"],
        env={**os.environ, "PATH": os.pathsep.join([str(stand_in.parent), os.environ["PATH"]])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    commands = [file.read_text().split() for file in (tmp_path / "found").iterdir()]
    scripts = [words for words in commands if words[0].endswith(".py")]
    assert len(commands) == len(scripts) == 8
    assert all((ROOT / words[0]).is_file() for words in scripts)
    made = []
    for words in scripts:
        only, _, without = " ".join(words).partition(" --only ")[2].partition(" --without ")
        made += [
            name
            for name in CHECKS
            if any(part in name for part in only.split())
            and not any(part in name for part in without.split())
        ]
    assert sorted(made) == sorted(CHECKS)
    if status:
        assert {"gradients: failed", "fused: failed"} <= {*done.stdout.splitlines()}
