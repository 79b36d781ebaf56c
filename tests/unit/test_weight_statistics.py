"""Distribution of weights (appendix C) against brute force, and its laws."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import minimize_scalar
from scipy.stats import gaussian_kde

from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.initialisations import initialise
from resnoise.metrics.weight_statistics import (
    flat_weights,
    histogram_counts,
    measure_run,
    mode,
    statistics,
)
from resnoise.networks import build
from resnoise.specs.metrics import WeightStatisticsSpec
from resnoise.specs.run import NetworkSpec, RecipeSpec, RunSpec
from resnoise.trained.run import TrainedRun
from resnoise.training.checkpoint import copy_weights

SPEC = WeightStatisticsSpec(threshold=0.25, id_threshold=0.7, bin_width=0.01)
RECIPE = RecipeSpec(
    epochs=1,
    batch_size=8,
    learning_rate=0.1,
    milestones=(),
    decay_factor=0.1,
    momentum=0.9,
    penalty=1e-4,
    penalty_divided_by_batch=False,
    penalty_on_biases=True,
    penalty_on_transferred=False,
    crop_padding=0,
    horizontal_flip=False,
    precision="float64",
    allow_tf32=False,
    compile=False,
    conv_backend="torch",
    epoch_risk="mini-batches",
    snapshot_epochs=(),
)
PICTURES = Dataset(
    train_images=np.zeros((2, 8, 8, 3), np.uint8),
    train_labels=np.zeros(2, np.int64),
    test_images=np.zeros((2, 8, 8, 3), np.uint8),
    test_labels=np.zeros(2, np.int64),
    class_names=tuple("abcde"),
    channel_mean=np.zeros(3),
    channel_std=np.ones(3),
    source_digest="",
    digest="",
)
finite = arrays.arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.floats(-3, 3, allow_nan=False, width=32),
)


def trained(architecture: str, initialisation: str, status: str = "done") -> TrainedRun:
    """Return a run whose weights before training are initial ones, after it some noise apart."""
    network = NetworkSpec(architecture, 8, 4)
    spec = RunSpec(network=network, initialisation=initialisation, seed=1, recipe=RECIPE)
    built = build(network, 5).double()
    initialise(built, initialisation, seed=1)
    before = copy_weights(built)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in built.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter += 0.1 * noise
    weights = {"initial": before, "final": copy_weights(built)}
    return TrainedRun(spec, status, weights, PICTURES, {})


def measured(run: TrainedRun, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the statistics and the histograms of a run as they are written."""
    files = folder / "weight_statistics.csv", folder / "weight_histogram.csv"
    measure_run(run, SPEC, files, Computing())
    return pd.read_csv(files[0]), pd.read_csv(files[1])


def value(table: pd.DataFrame, snapshot: str, view: str, group: str, statistic: str) -> float:
    """Return one number of the statistics."""
    own = table[(table["snapshot"] == snapshot) & (table["view"] == view)]
    own = own[(own["group"] == group) & (own["statistic"] == statistic)]
    assert len(own) == 1
    return float(own["value"].iloc[0])


@pytest.mark.parametrize(
    ("architecture", "initialisation"), [("plain", "kwi"), ("residual", "hmwi")]
)
def test_statistics_are_those_of_a_loop_over_all_weights(
    architecture: str, initialisation: str, tmp_path: Path
) -> None:
    run = trained(architecture, initialisation)
    table, histogram = measured(run, tmp_path)
    start: list[float] | None = None
    # T(r): one more at the centre of each kernel that maps a channel to itself.
    for snapshot, weights in run.weights.items():
        entries: list[float] = []
        others: list[float] = []
        identities: list[float] = []
        for name, array in weights.items():
            if not name.endswith("weight"):
                continue
            for index in np.ndindex(array.shape):
                entry = float(array[index])
                is_id = (
                    name.startswith("layer")
                    and index[0] % array.shape[1] == index[1]
                    and index[2:] == (1, 1)
                )
                if is_id:
                    entry += architecture == "residual"
                    identities.append(entry)
                else:
                    others.append(entry)
                entries.append(entry)
        large = [entry for entry in entries if abs(entry) > 0.25]
        expected = {("all", "mass"): sum(map(abs, entries)), ("all", "count"): len(entries)}
        expected |= {("id", "mass"): sum(map(abs, identities)), ("id", "count"): len(identities)}
        expected |= {("large", "mass"): sum(map(abs, large)), ("large", "count"): len(large)}
        for group, values in (("all", entries), ("id", identities), ("large", large)):
            expected[group, "sum_of_squares"] = sum(entry**2 for entry in values)
        start = entries if start is None else start
        expected["all", "squared_distance"] = sum(
            (now - then) ** 2 for now, then in zip(entries, start, strict=True)
        )
        expected["all", "mean"] = sum(entries) / len(entries)
        expected["id", "standard_deviation"] = float(np.std(identities))
        expected["id", "above"] = sum(entry > 0.7 for entry in identities)
        expected["all", "magnitude_above"] = sum(abs(entry) > 0.7 for entry in entries)
        expected["other", "count"] = len(others)
        expected["other", "standard_deviation"] = float(np.std(others))
        if large:
            expected["id", "share"] = sum(map(abs, identities)) / sum(map(abs, large))
        for (group, statistic), number in expected.items():
            found = value(table, snapshot, "plain", group, statistic)
            assert found == pytest.approx(number, rel=1e-12), (snapshot, group, statistic)
        # The two views differ by 1 at each ID entry and nowhere else.
        difference = value(table, snapshot, "plain", "id", "mean") - value(
            table, snapshot, "residual", "id", "mean"
        )
        assert difference == pytest.approx(1, rel=1e-12)
        own = histogram[(histogram["snapshot"] == snapshot) & (histogram["view"] == "plain")]
        for group, values in (("all", entries), ("id", identities)):
            bins = own[own["group"] == group]
            for low, high, count in bins[["low", "high", "count"]].itertuples(index=False):
                inside = sum(low - 1e-12 <= entry < high + 1e-12 for entry in values)
                strictly = sum(low + 1e-12 <= entry < high - 1e-12 for entry in values)
                assert strictly <= count <= inside
            assert bins["count"].sum() == len(values)


def test_the_weight_term_is_that_of_all_parameters_of_the_view(tmp_path: Path) -> None:
    run = trained("residual", "hmwi")
    table, _ = measured(run, tmp_path)
    total = sum(float(np.sum(np.square(array))) for array in run.weights["final"].values())
    term = value(table, "final", "residual", "all", "weight_term")
    assert term == pytest.approx(1e-4 / 2 * total, rel=1e-12)
    # (r + 1)^2 = r^2 + 2 r + 1 at each ID entry.
    count = value(table, "final", "residual", "id", "count")
    mean = value(table, "final", "residual", "id", "mean")
    plain = value(table, "final", "plain", "all", "weight_term")
    assert plain == pytest.approx(1e-4 / 2 * (total + 2 * count * mean + count), rel=1e-12)


def test_a_diverged_run_has_no_final_weights(tmp_path: Path) -> None:
    table, histogram = measured(trained("plain", "kwi", status="diverged"), tmp_path)
    assert "final" not in {*table["snapshot"]} and "final" not in {*histogram["snapshot"]}


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    run = trained("plain", "kwi")
    spec = dataclasses.replace(run.spec, network=NetworkSpec("full-plain", 8, 4))
    with pytest.raises(ResnoiseError, match="full-plain"):
        measured(dataclasses.replace(run, spec=spec), tmp_path)
    assert not [*tmp_path.iterdir()]


def test_biases_do_not_count() -> None:
    weights = {"conv1.weight": torch.ones(2, 3, 1, 1), "conv1.bias": torch.full((2,), 9.0)}
    entries, identities = flat_weights(weights)
    assert entries.tolist() == [1.0] * 6 and not identities.any()


@given(finite, st.floats(0, 1), st.floats(0, 1))
def test_laws_of_the_statistics(entries: np.ndarray, threshold: float, id_threshold: float) -> None:
    identities = np.arange(len(entries)) % 3 == 0
    spec = WeightStatisticsSpec(threshold, id_threshold, 0.1)
    found = {(group, name): value for group, name, value in statistics(entries, identities, spec)}
    assert found["all", "mass"] >= max(found["large", "mass"], found["id", "mass"]) - 1e-9
    assert found["all", "magnitude_above"] >= found["all", "above"] >= found["id", "above"]
    flipped = statistics(-entries, identities, spec)
    mirrored = {(group, name): value for group, name, value in flipped}
    for group in ("all", "large", "id"):
        assert mirrored[group, "mass"] == found[group, "mass"]
        assert mirrored[group, "magnitude_above"] == found[group, "magnitude_above"]


@given(finite, st.floats(0.01, 1))
def test_bins_share_their_edges_and_hold_everything(values: np.ndarray, width: float) -> None:
    bins = histogram_counts(values, width)
    assert sum(count for _, _, count in bins) == len(values)
    for low, high, count in bins:
        assert count > 0 and high - low == pytest.approx(width)
        assert low / width == pytest.approx(round(low / width), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_mode_is_where_scipys_density_is_highest(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = np.concatenate([generator.normal(0.9, 0.05, 300), generator.normal(0.3, 0.2, 200)])
    quartiles = np.quantile(values, (0.25, 0.75))
    bandwidth = 0.9 * min(values.std(), (quartiles[1] - quartiles[0]) / 1.34) * 500**-0.2
    density = gaussian_kde(values, bandwidth / values.std(ddof=1))
    best = minimize_scalar(
        lambda place: -density(place)[0], bounds=(0.8, 1.0), options={"xatol": 1e-8}
    )
    assert mode(values) == pytest.approx(best.x, abs=1e-6)
    assert density(mode(values))[0] >= density(np.linspace(-1, 2, 3001)).max() - 1e-9


@given(st.floats(-2, 2), st.integers(1, 20))
def test_the_mode_of_equal_values_is_that_value(place: float, count: int) -> None:
    assert mode(np.full(count, place)) == pytest.approx(place)


@given(finite, st.floats(-1, 1), st.floats(0.1, 10))
def test_the_mode_moves_and_scales_with_the_values(
    values: np.ndarray, shift: float, scale: float
) -> None:
    # Of two peaks of equal height rounding decides, so both must be at least as dense.
    spread = values.std()
    if spread < 1e-3:
        return
    first, second = mode(values), (mode(scale * values + shift) - shift) / scale
    low, high = np.quantile(values, (0.25, 0.75))
    bandwidth = 0.9 * (min(spread, (high - low) / 1.34) or spread) * len(values) ** -0.2
    # Below the spacing of floating-point numbers, values that differ count as equal.
    if bandwidth < 1e-9:
        return

    def density(place: float) -> float:
        return float(np.exp(-(((values - place) / bandwidth) ** 2) / 2).sum())

    assert density(second) == pytest.approx(density(first), rel=1e-4)
