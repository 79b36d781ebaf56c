"""Read a finished run: its networks before, during and after training, and their pictures."""

import dataclasses
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from resnoise import devices
from resnoise.data.dataset import Dataset
from resnoise.networks import build
from resnoise.specs.run import RunSpec
from resnoise.trained.record import Record, read_all_weights, read_record
from resnoise.training.batches import Normalisation
from resnoise.training.checkpoint import Weights, set_weights, unflatten


class Measurable(Protocol):
    """What metrics need from a trained network: from a finished run, or one trained elsewhere.

    Attributes:
        dataset: the pictures to measure it on.
        digests: digests that determine its results, together with the metric's specification.
    """

    @property
    def dataset(self) -> Dataset: ...  # noqa: D102

    @property
    def digests(self) -> dict[str, str]: ...  # noqa: D102

    def network(self, label: str, device: torch.device) -> nn.Module:
        """Return the network with the weights called ``label``, in evaluation mode."""

    def normalisation(self, device: torch.device) -> Normalisation:
        """Return the conversion of uint8 pictures to inputs of the network."""

    def usable(self, every_snapshot: bool) -> list[str]:
        """Return the labels of the weights to measure, without weights that diverged.

        Args:
            every_snapshot: return all labels; False for the final one only.
        """


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes:
        spec: its specification.
        status: "done" or "diverged". The weights "final" of a diverged run must not be used.
        weights: label -> weights, in the order of training. The labels are "initial", "iteration1",
            "epoch10" and so on, "final".
        dataset: the pictures that it was trained on.
        digests: name -> digest, of the files of weights and of the data set.
    """

    spec: RunSpec
    status: str
    weights: dict[str, Weights]
    dataset: Dataset
    digests: dict[str, str]

    def network(self, label: str, device: torch.device) -> nn.Module:
        """Return the network with the weights called ``label``, in evaluation mode.

        Its precision is that of the training.

        Args:
            label: a key of ``weights``.
            device: the device to put the network on.
        """
        classes, channels = len(self.dataset.class_names), self.dataset.train_images.shape[3]
        network = build(self.spec.network, classes, channels)
        network = devices.place(network, device, self.spec.recipe.precision)
        set_weights(network, self.weights[label])
        return network.eval()

    def normalisation(self, device: torch.device) -> Normalisation:
        """Return the conversion of uint8 pictures to inputs of the run's networks."""
        dtype = devices.WEIGHT_DTYPES[self.spec.recipe.precision]
        return Normalisation(self.dataset.channel_mean, self.dataset.channel_std, device, dtype)

    def usable(self, every_snapshot: bool) -> list[str]:
        """Return the labels of the weights to measure, without weights that diverged.

        Args:
            every_snapshot: return all labels; False for the final one only.
        """
        labels = list(self.weights) if every_snapshot else ["final"]
        return [name for name in labels if name != "final" or self.status != "diverged"]


def read(folder: Path, dataset: Dataset) -> TrainedRun:
    """Read the finished run in a folder.

    Args:
        folder: the folder with the run's record and weights.
        dataset: the data set that the run should have been trained on.

    Raises:
        ResnoiseError: a file is damaged, the run was trained on other data, or the files belong to
            different runs.
    """
    record = read_record(folder / "run.json", dataset.digest)
    return assembled(record, read_all_weights(folder, record), dataset)


def assembled(record: Record, weights: dict[str, Weights], dataset: Dataset) -> TrainedRun:
    """Return a run whose files have been read.

    Args:
        record: from ``read_record``.
        weights: from ``read_all_weights``.
        dataset: the data set that the run was trained on.
    """
    groups = unflatten(weights["snapshots"])
    ordered = {label: groups[label] for label in sorted(groups, key=training_order)}
    return TrainedRun(
        record.spec,
        record.status,
        {**ordered, "final": weights["weights"]},
        dataset,
        record.digests,
    )


def training_order(label: str) -> tuple[int, int]:
    """Return a sort key for labels of weights: their order in training."""
    if label in ("initial", "iteration1", "final"):
        return {"initial": (0, 0), "iteration1": (1, 0), "final": (3, 0)}[label]
    return (2, int(label.removeprefix("epoch")))
