"""Dominant gradient flow of a finished run, at each stage of its training (figures 10 and 12)."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from resnoise import devices, registry
from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics.flow_readings import averaged
from resnoise.metrics.linearised import Linearised, linearise
from resnoise.metrics.path_gradients import dominant_shares, feature_gradients
from resnoise.metrics.resumable import choose_samples
from resnoise.specs.flow import BLOCK_OUTPUT, INSIDE
from resnoise.specs.metrics import GradientFlowSpec
from resnoise.storage import csvfile
from resnoise.trained.run import TrainedRun
from resnoise.training.batches import Normalisation

_log = logging.getLogger(__name__)

# Figure 10 compares these.
FEATURE_SNAPSHOTS = ("iteration1", "final")


def measure_run(
    run: TrainedRun,
    spec: GradientFlowSpec,
    outputs: Sequence[Path],
    computing: Computing,
) -> None:
    """Write f_l of a run's networks, and the entries of dR/da.

    The pictures are training pictures without augmentation, the same for all runs on one data set.
    Batch normalisation uses their statistics.

    The first file has a row for each snapshot, reading (of ``resnoise.metrics.flow_readings``) and
    layer but the last: architecture, family, residual, depth, initialisation, seed, snapshot,
    epoch, reading, layer (from 1), group (1 to 3 by the size of the activations; the first
    convolution is in group 1), place (of ``resnoise.specs.flow``), channels,
    pictures, f_mean and f_median (by the mean and by the median of the ratios) and their
    standard errors over the pictures.

    Both are empty in the layers that are dead or have exploded on all pictures, which the column
    state says (``resnoise.metrics.states``).

    The second one has a row for each entry of dR/da after the first iteration and at the end: the
    columns of the run, snapshot, picture, channel, value. Weights whose gradients are not finite
    have no rows there.

    Args:
        run: the run.
        spec: what to measure.
        outputs: CSV files to write: f_l, and the entries of dR/da.
        computing: where to compute.

    Raises:
        ResnoiseError: too few training pictures, or weights that the run did not keep.
    """
    chosen = computing.set_up()
    inputs, labels = _pictures(run.dataset, spec, chosen)
    kind = registry.architecture(run.spec.network.architecture)
    keys = {
        "architecture": run.spec.network.architecture,
        "family": kind.family,
        "residual": kind.residual,
        "depth": run.spec.network.depth,
        "initialisation": run.spec.initialisation,
        "seed": run.spec.seed,
    }
    flows, entries = [], []
    for snapshot, epoch in snapshots(run, spec).items():
        network = run.network(snapshot, chosen).to(inputs.dtype)
        at = linearise(network, inputs)
        weight = network.get_parameter("fc.weight").detach()
        gradients = feature_gradients(at.features, at.logits, labels, weight)
        exploded = not bool(gradients.isfinite().all())
        if exploded:
            _log.warning("%s: the weights give no finite gradients", snapshot)
        _log.info("%s: %d layers", snapshot, len(at.layers) - 1)
        place = {**keys, "snapshot": snapshot, "epoch": epoch}
        kinds = places(network)
        for reading, shares in dominant_shares(at, gradients).items():
            table = _flow_rows(at, kinds, shares)
            flows.append(_at({**place, "reading": reading}, table))
        if snapshot in FEATURE_SNAPSHOTS and not exploded:
            entries.append(_at(place, _entry_rows(gradients)))
    columns = [*keys, "snapshot", "epoch", "picture", "channel", "value"]
    entries.append(pd.DataFrame(columns=columns))
    for rows, file in zip((flows, entries), outputs, strict=True):
        # Tables without rows would decide the types of the columns.
        kept = [table for table in rows if len(table)] or rows
        csvfile.write(file, pd.concat(kept, ignore_index=True))


def snapshots(run: TrainedRun, spec: GradientFlowSpec) -> dict[str, float]:
    """Return the labels of the weights to measure, each with its epoch (fractional within epochs).

    Raises:
        ResnoiseError: the run did not keep the weights of an epoch.
    """
    steps = math.ceil(len(run.dataset.train_labels) / run.spec.recipe.batch_size)
    stages = {"initial": 0.0, "iteration1": 1 / steps}
    stages |= {f"epoch{epoch}": float(epoch) for epoch in sorted(spec.epochs)}
    stages["final"] = float(run.spec.recipe.epochs)
    if run.status == "diverged":
        kept = run.usable(every_snapshot=True)
        return {label: epoch for label, epoch in stages.items() if label in kept}
    if missing := stages.keys() - run.weights.keys():
        raise ResnoiseError(
            f"the run kept no weights {', '.join(sorted(missing))}, only {', '.join(run.weights)}"
        )
    return stages


def _pictures(
    dataset: Dataset, spec: GradientFlowSpec, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return inputs [B, C, H, W] and labels [B] of the mini-batch."""
    drawn = choose_samples(len(dataset.train_labels), spec.samples, spec.sample_seed)
    dtype = devices.WEIGHT_DTYPES[spec.precision]
    normalise = Normalisation(dataset.channel_mean, dataset.channel_std, device, dtype)
    pictures = torch.from_numpy(dataset.train_images[drawn]).to(device)
    return normalise(pictures), torch.from_numpy(dataset.train_labels[drawn]).to(device)


def _at(place: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with the columns of ``place`` before its own."""
    return pd.concat([pd.DataFrame(place, index=table.index), table], axis=1)


def places(network: nn.Module) -> list[str]:
    """Return the place of each convolution of a network (``resnoise.specs.flow``)."""
    found = [BLOCK_OUTPUT]
    for name in ("layer1", "layer2", "layer3"):
        for block in network.get_submodule(name).children():
            count = sum(isinstance(module, nn.Conv2d) for module in block.modules())
            found += [INSIDE] * (count - 1) + [BLOCK_OUTPUT]
    return found


def _flow_rows(
    at: Linearised, kinds: Sequence[str], shares_by: tuple[Tensor, Tensor]
) -> pd.DataFrame:
    """Return a row for each layer, from the places and the shares of all layers."""
    sizes = sorted({layer.live.shape[2] for layer in at.layers}, reverse=True)
    pictures = len(shares_by[0])
    table = pd.DataFrame(
        {
            "layer": range(1, len(at.layers)),
            "group": [sizes.index(layer.live.shape[2]) + 1 for layer in at.layers[:-1]],
            "place": kinds[:-1],
            "channels": [layer.live.shape[1] for layer in at.layers[:-1]],
            "pictures": pictures,
        }
    )
    return averaged(table, *(shares.cpu().numpy() for shares in shares_by))


def _entry_rows(gradients: Tensor) -> pd.DataFrame:
    """Return a row for each entry of dR/da."""
    pictures, channels = gradients.shape
    return pd.DataFrame(
        {
            "picture": torch.arange(pictures).repeat_interleave(channels).numpy(),
            "channel": torch.arange(channels).repeat(pictures).numpy(),
            "value": gradients.flatten().cpu().numpy(),
        }
    )
