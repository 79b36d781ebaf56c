"""Checks of metrics: what a device measures on a trained network is what the CPU measures."""

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import examples
import numpy as np
import pandas as pd
import torch
from registry import Place, check

from resnoise import registry
from resnoise.devices import Computing
from resnoise.metrics import registered
from resnoise.metrics.transfer_check import transfer_run
from resnoise.specs.base import Spec
from resnoise.specs.metrics import (
    CallFlowSpec,
    EvaluationSpec,
    GradientFlowSpec,
    InterlayerCushionSpec,
    LayerCushionSpec,
    NoiseStabilitySpec,
)
from resnoise.storage.digests import read_json
from resnoise.trained import run as trained_runs
from resnoise.trained.run import TrainedRun


class Bound(NamedTuple):
    """What a metric is given, and how far its numbers may be from the CPU's.

    Attributes:
        spec: its specification, None if it has none.
        relative: |device - CPU| / |CPU| of each number.
        absolute: what is added for numbers near 0: how far sums of rounded numbers come apart.
        files: how many files it writes.
        keys: what a metric without a specification is given.
    """

    spec: Spec | None
    relative: float
    absolute: float = 0.0
    files: int = 1
    keys: Mapping[str, int] = MappingProxyType({})


SAMPLES: dict[str, Any] = {"samples": 8, "sample_seed": 0, "every_snapshot": True}
# In float64, so that rounding does not change how many random vectors are drawn; so many that the
# hardest spans get a sketch of their Jacobian.
PROBES: dict[str, Any] = {"relative_error": 0.002, "max_probes": 100, "probe_seed": 0}
METRICS = {
    # One of the 50 test pictures may change sides.
    "evaluation": Bound(EvaluationSpec(), 1e-4, 1 / 50 + 1e-9),
    "layer_cushion": Bound(LayerCushionSpec(**SAMPLES), 1e-4),
    "noise_stability": Bound(
        NoiseStabilitySpec(**SAMPLES, sizes=(0.1,), repeats=2, noise_seed=0), 1e-2, 1e-4
    ),
    "interlayer_cushion": Bound(
        InterlayerCushionSpec(**{**SAMPLES, "samples": 4, **PROBES}, precision="float64"),
        1e-5,
        1e-6,
    ),
    "gradient_flow": Bound(GradientFlowSpec(8, 0, "float64", (1,)), 1e-8, 1e-12, files=2),
    "call_flow": Bound(CallFlowSpec(8, 0, False, "float64"), 1e-8, 1e-12),
    "margin": Bound(None, 1e-3, 1e-5),
    "bounds": Bound(None, 1e-6, 1e-12, keys={"samples": 8, "sample_seed": 0}),
}
NETWORKS = ("plain", "residual", "full-residual")
CASES = [f"{metric} {network}" for metric in METRICS for network in NETWORKS]


@check(*CASES)
def a_metric_is_the_cpus(place: Place, case: str) -> str:
    """Measure one run on the CPU and on the device, and compare all numbers."""
    metric, architecture = case.split()
    run = trained_run(place, architecture)
    bound = METRICS[metric]
    cpu = measured(run, metric, "cpu", place.folder)
    device = measured(run, metric, place.device.type, place.folder)
    worst = 0.0
    for right, found in zip(cpu, device, strict=True):
        worst = max(worst, deviation(found, right, bound))
    assert worst <= 1, f"{worst:.2g} times as far from the CPU's numbers as allowed ({bound})"
    return f"{worst:.1e} of what is allowed, in {sum(len(table) for table in cpu)} rows"


def trained_run(place: Place, architecture: str) -> TrainedRun:
    """Return a run that was trained on the CPU, where it has the same bits every time.

    In a rehearsal its pictures are small, because both measurements are on the CPU then.
    """
    data = examples.pictures(place.folder, 100, 50, side=32 if place.device.type == "cuda" else 16)
    examples.trained(examples.run_spec(architecture), data, place.folder / "run", "cpu")
    return trained_runs.read(place.folder / "run", data)


def measured(run: TrainedRun, metric: str, device: str, folder: Path) -> list[pd.DataFrame]:
    """Return the tables that a metric writes for a run."""
    spec, _, _, count, keys = METRICS[metric]
    outputs = [folder / f"{metric}-{device}-{number}.csv" for number in range(count)]
    for file in outputs:
        file.unlink(missing_ok=True)
    computing = Computing(device)
    if spec is None:
        registered.measure_run(run, metric, keys, outputs, computing)
    else:
        module = importlib.import_module(registry.metric(metric).module)
        module.measure_run(run, spec, outputs, computing)
    return [pd.read_csv(file) for file in outputs]


def deviation(found: pd.DataFrame, right: pd.DataFrame, bound: Bound) -> float:
    """Return the largest distance of two tables' numbers, as a multiple of what is allowed."""
    assert list(found) == list(right) and len(found) == len(right), "other rows or columns"
    worst = 0.0
    for name in right:
        one, two = found[name], right[name]
        if not pd.api.types.is_float_dtype(two):
            assert one.equals(two), f"other values in {name}"
            continue
        assert one.isna().equals(two.isna()), f"other empty fields in {name}"
        allowed = bound.relative * two.abs() + bound.absolute
        distance = (one - two).abs()
        # Equal numbers are right, also where nothing is allowed.
        ratio = np.where(distance == 0, 0.0, distance / allowed)
        worst = max(worst, float(np.nanmax(ratio, initial=0.0)))
    return worst


@check()
def a_transferred_network_is_equal(place: Place) -> str:
    """Transfer a residual network to the plain one on the device."""
    run = trained_run(place, "residual")
    files = place.folder / "run"
    report = place.folder / "report.json"
    transfer_run(
        files / "run.json",
        files / "weights.safetensors",
        run.dataset,
        place.folder / "plain.safetensors",
        report,
        device=place.device.type,
        threads=1,
    )
    facts = read_json(report)
    error = facts["float64"]["largest_difference"] / facts["float64"]["largest_logit"]
    assert error < 1e-12, error
    return f"relative difference of logits {error:.1e}"


@check("layer_cushion", "noise_stability", "interlayer_cushion")
def a_measurement_keeps_to_its_memory(place: Place, metric: str) -> str:
    """Measure with little memory for activations, and look at what was taken."""
    run = trained_run(place, "residual")
    spec: Any = METRICS[metric].spec
    spec = dataclasses.replace(spec, samples=20, every_snapshot=False)
    if place.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    module = importlib.import_module(registry.metric(metric).module)
    computing = Computing(place.device.type, memory_mb=50)
    module.measure_run(run, spec, [place.folder / "small.csv"], computing)
    if place.device.type != "cuda":
        return "not known without a card"
    taken = (torch.cuda.max_memory_allocated() - before) / 1e6
    # Networks, and room in which cuBLAS and cuDNN compute, come to what the activations take.
    assert taken < 2 * 50 + 300, f"{taken:.0f} MB taken, 50 MB allowed for activations"
    return f"{taken:.0f} MB with 50 MB for activations"
