"""Distribution of the weights of a simplified network (appendix C; Tables 3 and 4, Figure 7).

Every run is viewed in two ways: as the plain network that computes its function (p, or T(r) of a
residual run) and as the residual one (T^-1(p), or r). The two differ at the ID entries only, by 1.
Biases are left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.networks import build
from resnoise.networks.transfer import id_entries, to_plain, to_residual
from resnoise.specs.metrics import WeightStatisticsSpec
from resnoise.storage import csvfile
from resnoise.trained.run import TrainedRun
from resnoise.training.objective import Penalty

STATISTICS = ("snapshot", "view", "group", "statistic", "value")
HISTOGRAM = ("snapshot", "view", "group", "low", "high", "count")
# Largest number of steps in ``mode``. A few dozen are enough in practice, and none leads downhill.
_MODE_STEPS = 1000


def measure_run(
    run: TrainedRun, spec: WeightStatisticsSpec, outputs: Sequence[Path], _computing: Computing
) -> None:
    """Write the statistics and the histograms of all weights that a run has kept.

    The first file has the columns snapshot, view ("plain" or "residual"), group, statistic,
    value; see ``statistics`` for groups and statistics. The group "all" also has weight_term, the
    weight term of the cost for the weights of this view, and squared_distance, the square of the
    distance from the weights before training. The second file has the columns snapshot,
    view, group ("all" or "id"), low, high, count; see ``histogram_counts``. Weights of a diverged
    run have no rows.

    Args:
        run: a run of a simplified network.
        spec: thresholds and width of the bins.
        outputs: CSV files to write: statistics, and histograms.

    Raises:
        ResnoiseError: the run's network is not a simplified one.
    """
    rows: list[tuple[str, str, str, str, float]] = []
    bins: list[tuple[str, str, str, float, float, int]] = []
    start = {view: flat_weights(weights)[0] for view, weights in views(run, "initial").items()}
    for label in run.usable(every_snapshot=True):
        for view, weights in views(run, label).items():
            entries, identities = flat_weights(weights)
            for group, name, value in statistics(entries, identities, spec):
                rows.append((label, view, group, name, value))
            rows.append((label, view, "all", "weight_term", _weight_term(run, weights)))
            moved = float(np.square(entries - start[view]).sum())
            rows.append((label, view, "all", "squared_distance", moved))
            for group, values in (("all", entries), ("id", entries[identities])):
                for low, high, count in histogram_counts(values, spec.bin_width):
                    bins.append((label, view, group, low, high, count))
    output, histogram = outputs
    csvfile.write(output, pd.DataFrame(rows, columns=list(STATISTICS)))
    csvfile.write(histogram, pd.DataFrame(bins, columns=list(HISTOGRAM)))


def views(run: TrainedRun, label: str) -> dict[str, dict[str, Tensor]]:
    """Return the weights ``label`` of a run as "plain" and as "residual" state dict, float64.

    Raises:
        ResnoiseError: the run's network is not a simplified one.
    """
    own = {name: torch.tensor(array).double() for name, array in run.weights[label].items()}
    architecture = run.spec.network.architecture
    if architecture == "plain":
        return {"plain": own, "residual": to_residual(own)}
    if architecture == "residual":
        return {"plain": to_plain(own), "residual": own}
    raise ResnoiseError(
        f"weight statistics of architecture {architecture!r}, allowed: plain, residual"
    )


def flat_weights(weights: Mapping[str, Tensor]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return all weights but biases as one array, and which of them are ID entries.

    Args:
        weights: state dict of a simplified network: kernels ``conv1.weight`` and
            ``layer1.0.conv.weight``, ..., linear layer ``fc.weight``, biases.

    Returns:
        The weights, float64 [W], and a mask of the ID entries, bool [W].
    """
    arrays = []
    masks = []
    for name, tensor in weights.items():
        if not name.endswith(".weight"):
            continue
        block = name.endswith(".conv.weight")
        mask = id_entries(tensor.shape) if block else torch.zeros(tensor.shape, dtype=torch.bool)
        arrays.append(tensor.double().numpy().ravel())
        masks.append(mask.numpy().ravel())
    return np.concatenate(arrays), np.concatenate(masks)


def statistics(
    entries: NDArray[np.float64], identities: NDArray[np.bool_], spec: WeightStatisticsSpec
) -> list[tuple[str, str, float]]:
    """Return (group, statistic, value) for all weights, the large ones and the ID entries.

    Groups: "all"; "large", of magnitude above ``spec.threshold``; "id", the ID entries; "other",
    all but the ID entries. Statistics:
    count; mean; standard_deviation (of the group itself, divided by its count); mass, the l1 norm;
    sum_of_squares; above and magnitude_above, the numbers of entries and of magnitudes above
    ``spec.id_threshold``; for "id" also mode (see ``mode``) and share, its mass divided by that of
    "large" (Table 3's text). Empty groups have no mean, standard deviation or mode; without large
    weights there is no share.

    Args:
        entries: weights, float64 [W].
        identities: which of them are ID entries, bool [W].
        spec: thresholds.
    """
    magnitudes = np.abs(entries)
    groups = {
        "all": entries,
        "large": entries[magnitudes > spec.threshold],
        "id": entries[identities],
        "other": entries[~identities],
    }
    rows: list[tuple[str, str, float]] = []
    for group, values in groups.items():
        rows.append((group, "count", len(values)))
        if len(values):
            rows.append((group, "mean", float(values.mean())))
            rows.append((group, "standard_deviation", float(values.std())))
        rows.append((group, "mass", float(np.abs(values).sum())))
        rows.append((group, "sum_of_squares", float(np.square(values).sum())))
        rows.append((group, "above", int((values > spec.id_threshold).sum())))
        rows.append((group, "magnitude_above", int((np.abs(values) > spec.id_threshold).sum())))
    if len(groups["id"]):
        rows.append(("id", "mode", mode(groups["id"])))
    if len(groups["large"]):
        share = np.abs(groups["id"]).sum() / np.abs(groups["large"]).sum()
        rows.append(("id", "share", float(share)))
    return rows


def mode(values: NDArray[np.float64]) -> float:
    """Return where a Gaussian kernel density estimate of ``values`` is highest.

    The bandwidth is Silverman's, ``0.9 min(s, IQR / 1.34) n^(-1/5)``, with s where the
    interquartile range is 0. The climb starts at the densest of the values and follows the mean
    shift, whose steps never lead downhill. The paper does not say how it read off the mode.

    Args:
        values: float64 [n], n >= 1.
    """
    deviation = float(values.std())
    low, high = np.quantile(values, (0.25, 0.75))
    spread = min(deviation, float(high - low) / 1.34) or deviation
    bandwidth = 0.9 * spread * len(values) ** -0.2
    # The values are equal, up to the rounding of their mean.
    if bandwidth <= np.spacing(np.abs(values).max()):
        return float(values[0])
    # The distance to one value keeps all numbers small, wherever the values lie.
    origin = float(np.median(values))
    scaled = (values - origin) / bandwidth
    density = [float(np.exp(-((scaled - start) ** 2) / 2).sum()) for start in scaled]
    place = float(scaled[int(np.argmax(density))])
    for _ in range(_MODE_STEPS):
        weights = np.exp(-((scaled - place) ** 2) / 2)
        step = float(weights @ scaled / weights.sum()) - place
        place += step
        if abs(step) < 1e-9:
            break
    return float(origin + bandwidth * place)


def histogram_counts(values: NDArray[np.float64], width: float) -> list[tuple[float, float, int]]:
    """Return (low, high, count) of the bins [k width, (k + 1) width) that hold values.

    All histograms of one width share their edges, whatever the range of the values. Values that are
    not finite are in no bin.
    """
    # Numbers of bins stay floats: those of weights that have exploded exceed all integers.
    whole = np.floor(values[np.isfinite(values)] / width)
    numbers, counts = np.unique(whole, return_counts=True)
    return [
        (float(number * width), float((number + 1) * width), int(count))
        for number, count in zip(numbers, counts, strict=True)
    ]


def _weight_term(run: TrainedRun, weights: Mapping[str, Tensor]) -> float:
    """Return the weight term of the cost for ``weights`` as they are."""
    network = build(run.spec.network, *_classes_and_channels(weights)).double()
    network.load_state_dict(dict(weights))
    recipe = dataclasses.replace(run.spec.recipe, penalty_on_transferred=False)
    return Penalty(network, recipe).value()


def _classes_and_channels(weights: Mapping[str, Tensor]) -> tuple[int, int]:
    return weights["fc.weight"].shape[0], weights["conv1.weight"].shape[1]
